"""The card of a predictor of patients: what it was trained on, and how good it is."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.evaluate.mean_predictions import mean_predictions
from histo_ray.evaluate.patient_run import PreparedPatients
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.learn.calibration import CalibrationMethod, choose_thresholds, fit_calibration
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.pooling.pooled_cache import PoolFacts
from histo_ray.pooling.registry import parse_pooling
from histo_ray.predict.card import (
    ClassEncoderCard,
    EncoderCard,
    EvaluationCard,
    LabelsCard,
    TargetCard,
    TilingCard,
)
from histo_ray.predict.fitting.fit_settings import PatientFitOptions
from histo_ray.types import Receipt, TargetKind

_AUTO = {
    TargetKind.BINARY: CalibrationMethod.PLATT,
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
_LOG_HAZARD = (
    "raw: log of the hazard over that of the mean training patient; calibrated: probability of an "
    "event by the time `at` of the target's calibration"
)


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
    labels, encoder = plan.patients.labels, plan.found[0].encoder
    predicted = mean_predictions(
        evaluation.folder, encoder, labels.targets, plan.patients.cohort.patients
    )
    scored = {row["target"]: row for row in evaluation.folder.read("targets").to_pylist()}
    at = {
        name: (number, float(part.choice[column]), float(part.inner_score[column]))
        for number, part in enumerate(parts)
        for column, name in enumerate(part.targets)
    }
    method = choose_method(options.calibration, plan.task.kind)
    binary = plan.task.kind is TargetKind.BINARY
    stated: tuple[float, ...] = getattr(plan.config, "times", ())
    cards = []
    for column, name in enumerate(labels.targets):
        values, out_of_fold = labels.values[:, column], kept.get(name, predicted[:, column])
        calibration = fit_calibration(method, out_of_fold, values).read_at(stated)
        chosen_by = out_of_fold, values, options.sensitivity, calibration
        number, choice, inner_score = at[name]
        cards.append(
            TargetCard(
                name=name,
                n_patients=int(np.isfinite(values).sum()),
                positives=int((values > 0).sum()) if plan.task.kind.has_positives else 0,
                part=number,
                choice=choice,
                inner_score=inner_score,
                calibration=calibration,
                thresholds=choose_thresholds(*chosen_by) if binary else (),
                **{
                    key: scored[name][key] for key in ("metric", "score", "low", "high", "q_chance")
                },
            )
        )
    return tuple(cards)


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


def describe_labels(prepared: PreparedPatients) -> LabelsCard:
    """Describe the label file, and what predictions mean."""
    plan = prepared.plan
    labels, transform = plan.patients.labels, plan.task.transform(plan.config)
    numbers = _SCALES.get(transform, "the label table's values")
    return LabelsCard(
        sha256=labels.digest,
        values_sha256=hashlib.sha256(np.ascontiguousarray(labels.values).tobytes()).hexdigest(),
        transform=transform,
        clip_at=plan.config.clip_at if transform == "clip" else "",
        scale=_describe_scale(plan.task, numbers),
    )


def _describe_scale(task: PatientTask, numbers: str) -> str:
    if task.kind is TargetKind.BINARY:
        return f"probability of a {task.words.target_in_sentence}"
    return _LOG_HAZARD if task.kind is TargetKind.SURVIVAL else numbers


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
