"""The card of a predictor of patients: what it was trained on, and how good it is."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.mean_predictions import mean_predictions
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.learn.calibration import CalibrationMethod, choose_thresholds, fit_calibration
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.pooling.pooled_cache import PoolFacts
from histo_ray.pooling.registry import parse_pooling
from histo_ray.predict.card import (
    ClassEncoderCard,
    EncoderCard,
    EvaluationCard,
    LabelsCard,
    SlideEncoderNeed,
    TargetCard,
    TilingCard,
)
from histo_ray.predict.fitting.fit_settings import PatientFitOptions
from histo_ray.predict.slide_needs import list_needs
from histo_ray.types import PartitionKey, Receipt, TargetKind

_AUTO = {
    TargetKind.BINARY: CalibrationMethod.PLATT,
    TargetKind.MULTICLASS: CalibrationMethod.PLATT,
    TargetKind.ORDINAL: CalibrationMethod.PLATT,
    TargetKind.CONTINUOUS: CalibrationMethod.LINEAR,
    TargetKind.SURVIVAL: CalibrationMethod.COX,
}
_SCORE_COLUMNS = ("metric", "score", "low", "high", "q_chance")
_SCALES = {
    "rank": "normal score of the rank among the training patients (Blom 1958)",
    "log2": "log2(x + 1) of the label table's values",
    "clip": "the label table's values, outliers clipped",
}
"""What a prediction of a number means, by the transform of the labels."""
_CLASS_SCALES = {
    TargetKind.MULTICLASS: "probability of the class against all others; calibrated ones of a "
    "column add up to 1",
    TargetKind.ORDINAL: "probability of the class or a higher one",
    TargetKind.SURVIVAL: "raw: log of the hazard over that of the mean training patient; "
    "calibrated: probability of an event by the time `at` of the target's calibration",
}


class ChosenPart(NamedTuple):
    """Targets of one part of a predictor, and what was chosen for each."""

    targets: tuple[str, ...]
    choice: npt.NDArray[np.float64]
    """(t,)."""
    inner_score: npt.NDArray[np.float64]
    """(t,)."""


def describe_targets(
    prepared: PreparedPatients,
    evaluation: Evaluation,
    options: PatientFitOptions,
    parts: Sequence[ChosenPart],
    kept: Mapping[str, npt.NDArray[np.float64]],
) -> tuple[TargetCard, ...]:
    """Calibrate each target by its out-of-fold predictions, and state its score.

    Args:
        prepared: Patients and labels.
        evaluation: The cross-validation.
        options: How predictions are calibrated.
        parts: In their order.
        kept: By target, (P,) out-of-fold predictions by the settings that are kept; the other
            targets are calibrated by those of the evaluation.
    """
    plan = prepared.plan
    encoder, layout = plan.found[0].encoder, plan.truth.layout
    outputs = layout.outputs
    every = prepared.matrix.targets[:, : len(outputs)]
    predicted = mean_predictions(evaluation.folder, encoder, outputs, plan.patients.cohort.patients)
    scored = read_scores(evaluation, plan)
    at = {
        name: (number, float(part.choice[column]), float(part.inner_score[column]))
        for number, part in enumerate(parts)
        for column, name in enumerate(part.targets)
    }
    method = choose_method(options.calibration, plan.task.kind)
    binary = plan.task.kind is TargetKind.BINARY
    calibrated_as_class = binary or layout.coding is not None
    counts = calibrated_as_class or plan.task.kind.has_positives
    stated: tuple[float, ...] = getattr(plan.config, "times", ())
    cards = []
    for column, output in enumerate(outputs):
        name = output.name
        values, out_of_fold = every[:, column], kept.get(name, predicted[:, column])
        calibration = fit_calibration(method, out_of_fold, values).read_at(stated)
        chosen_by = out_of_fold, values, options.sensitivity, calibration
        number, choice, inner_score = at[name]
        cards.append(
            TargetCard(
                name=name,
                column=output.target if plan.patients.labels.columns else "",
                label=output.label,
                classes=_classes_of(plan, output.target),
                n_patients=int(np.isfinite(values).sum()),
                positives=int((values > 0).sum()) if counts else 0,
                part=number,
                choice=choice,
                inner_score=inner_score,
                calibration=calibration,
                thresholds=choose_thresholds(*chosen_by) if binary else (),
                **scored[name],
            )
        )
    return tuple(cards)


def read_scores(evaluation: Evaluation, plan: PatientPlan) -> dict[str, dict[str, Any]]:
    """Read the cross-validated score of each output, by its name.

    A class against all others has an AUROC of its own; what is said of ordered classes has the
    score of the whole column, as has the test against chance of every class.
    """
    rows = {row["target"]: row for row in evaluation.folder.read("targets").to_pylist()}
    found = {
        output.name: {key: rows[output.target][key] for key in _SCORE_COLUMNS}
        for output in plan.truth.layout.outputs
    }
    if plan.task.kind is not TargetKind.MULTICLASS:
        return found
    classes = {(r["target"], r["class"]): r for r in evaluation.folder.read("classes").to_pylist()}
    for output in plan.truth.layout.outputs:
        row = classes[output.target, output.label]
        found[output.name] |= {
            "metric": METRICS[TargetKind.BINARY].name,
            "score": row["auroc"],
            "low": row["low"],
            "high": row["high"],
        }
    return found


def _classes_of(plan: PatientPlan, target: str) -> tuple[str, ...]:
    """Classes of a column of labels; none of other targets."""
    columns = {column.name: column.classes for column in plan.patients.labels.columns}
    return columns.get(target, ())


def choose_method(asked: str, kind: TargetKind) -> CalibrationMethod:
    """Choose the calibration of a kind of targets; `auto` is that which suits it.

    Raises:
        ConfigError: One of survival for other targets, or the other way round.
    """
    method = _AUTO[kind] if asked == "auto" else CalibrationMethod(asked)
    of_times = CalibrationMethod.COX in (method, _AUTO[kind])
    if of_times and method not in (CalibrationMethod.NONE, _AUTO[kind]):
        raise ConfigError(
            f"--calibration {asked}: is not for {kind.value} targets; use {_AUTO[kind].value} or "
            "none"
        )
    return method


def describe_encoder(prepared: PreparedPatients) -> EncoderCard:
    """Describe the encoder by the receipts of its embeddings."""
    found = prepared.plan.found[0]
    facts = _first(prepared).encoder
    return EncoderCard(
        name=found.encoder,
        request=facts.request,
        weights_sha256=facts.weights_sha256,
        dim=facts.dim,
        dtype=facts.dtype,
        rotations=facts.rotations,
    )


def describe_tiling(prepared: PreparedPatients) -> TilingCard:
    """Describe the tiling by the receipts, so that the same tiles can be cut of other slides."""
    return TilingCard(
        fingerprint=prepared.plan.found[0].tiling, settings=_first(prepared).tiling.settings
    )


def describe_class_encoder(
    prepared: PreparedPatients, poolings: Sequence[str]
) -> ClassEncoderCard | None:
    """Describe the encoder whose head weighs tiles; None where no pooling needs one."""
    needing = [name for name in poolings if parse_pooling(name).needs_head]
    if not needing:
        return None
    plan, store = prepared.plan, prepared.store
    found = plan.found[0]
    frame = pool_matrix(
        store,
        found.encoder,
        needing[0],
        by="patient",
        tiling=found.tiling,
        class_encoder=plan.config.class_encoder,
        slide_ids=plan.patients.slides,
        where=found.where,
    )
    facts = PoolFacts.model_validate(frame.attrs["receipt"])
    keys = store.list_keys(facts.class_encoder, facts.class_tiling)
    receipt = store.read_receipt(min(key for key in keys if key.slide_id in plan.patients.slides))
    return ClassEncoderCard(
        name=facts.class_encoder,
        tiling=facts.class_tiling,
        weights_sha256=receipt.encoder.weights_sha256,
        file_sha256=facts.class_file_sha256,
    )


def describe_slide_encoders(
    prepared: PreparedPatients, poolings: Sequence[str]
) -> tuple[SlideEncoderNeed, ...]:
    """Describe the slide encoders whose vectors are read, by the receipts of these."""
    plan = prepared.plan
    found = plan.found[0]
    receipts = {
        PartitionKey(found.encoder, found.tiling, name): found.receipts[name]
        for name in plan.patients.slides
    }
    return tuple(list_needs(prepared.store.root, receipts, poolings))


def describe_labels(prepared: PreparedPatients) -> LabelsCard:
    """Describe the label file, and what predictions mean."""
    plan = prepared.plan
    labels, transform = plan.patients.labels, plan.task.transform(plan.config)
    numbers = _SCALES.get(transform, "the label table's values")
    word = plan.task.words.target_in_sentence
    meant = (
        f"probability of a {word}" if not labels.columns else "probability of the positive class"
    )
    return LabelsCard(
        sha256=labels.digest,
        values_sha256=hashlib.sha256(np.ascontiguousarray(labels.values).tobytes()).hexdigest(),
        transform=transform,
        clip_at=plan.config.clip_at if transform == "clip" else "",
        scale={TargetKind.BINARY: meant, **_CLASS_SCALES}.get(plan.task.kind, numbers),
    )


def describe_evaluation(prepared: PreparedPatients, evaluation: Evaluation) -> EvaluationCard:
    """Name the cross-validation that states the score."""
    record, matrix = evaluation.record, prepared.matrix
    scores = [row["score"] for row in evaluation.folder.read("targets").to_pylist()]
    there = sorted(score for score in scores if score == score)
    return EvaluationCard(
        task=record.task,
        run_id=record.run_id,
        folder=evaluation.folder.folder,
        repeats=matrix.repeats,
        n_folds=matrix.n_folds,
        score=there[len(there) // 2] if there else None,
    )


def _first(prepared: PreparedPatients) -> Receipt:
    """Receipt of a slide that was used."""
    return prepared.plan.found[0].receipts[prepared.plan.patients.slides[0]]
