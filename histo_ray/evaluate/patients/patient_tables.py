"""All tables of an evaluation of patients, from the pieces that its units left behind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.cohort.cohort_table import tabulate_cohort
from histo_ray.cohort.patient_folds import tabulate_outcome_folds
from histo_ray.evaluate.patients.added_value import tabulate_added, take_encoders
from histo_ray.evaluate.patients.left_out_sites import tabulate_sites
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_units import read_repeat
from histo_ray.evaluate.patients.review_tables import tabulate_reviews
from histo_ray.learn.statistics import chance_statistic
from histo_ray.learn.targets.class_codings import OutputLayout
from histo_ray.learn.targets.configurations import (
    Configuration,
    assemble_predictions,
    select_configurations,
)
from histo_ray.learn.targets.endpoint import tabulate_endpoints
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tables import (
    ConfigurationPredictions,
    compare_encoders,
    tabulate_scores,
    tabulate_targets,
)
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder


class EncoderPredictions(NamedTuple):
    """What one encoder's configurations predict."""

    configurations: tuple[Configuration, ...]
    """C of them."""
    predictions: tuple[ConfigurationPredictions, ...]
    """Predictions of each; permuted targets too."""
    selected: npt.NDArray[np.bool_]
    """(C, R, F, T)."""
    assembled: npt.NDArray[np.float32]
    """(R, P, T) of the configuration selected for each fold."""


def write_patient_tables(
    folder: TableFolder, pieces: TableFolder, plan: PatientPlan, matrix: TargetMatrix
) -> dict[str, pa.Table]:
    """Write every table of a run; all but the predictions are returned.

    Args:
        folder: Of the run.
        pieces: Of its units.
        plan: Configurations, patients, folds, resamples and seed.
        matrix: Labels, and permuted ones behind them.
    """
    truth, patients = plan.truth, plan.patients
    found = read_predictions(pieces, plan.configurations, matrix)
    scores = score_encoders(plan, matrix, found)
    decoded, encoders = decode_predictions(plan, found), take_encoders(plan, scores)
    people = patients.cohort.patients
    tables = {
        "scores": tabulate_configurations(truth, found),
        "targets": tabulate_targets(truth, scores),
        "endpoints": tabulate_endpoints(truth, encoders),
        "comparisons": compare_encoders(truth, encoders),
        "folds": tabulate_outcome_folds(plan.folds, people, truth.targets, patients.groups),
        "cohort": tabulate_cohort(patients.cohort),
        **tabulate_sites(plan, decoded),
        **tabulate_added(plan, scores, decoded),
        **tabulate_reviews(plan, {name: decoded[name] for name in encoders}),
    }
    predictions = iterate_predictions(truth, found, matrix, people)
    folder.write("predictions", predictions, arrow_schema("outcome_predictions"))
    for name, table in tables.items():
        folder.write(name, [table], table.schema)
    return tables


def decode_predictions(
    plan: PatientPlan, found: Mapping[str, EncoderPredictions]
) -> dict[str, npt.NDArray[np.floating]]:
    """Take each encoder's selected predictions of its targets, without permuted ones."""
    count, layout = len(plan.outputs), plan.truth.layout
    return {name: layout.decode(one.assembled[:, :, :count]) for name, one in found.items()}


def score_encoders(
    plan: PatientPlan, matrix: TargetMatrix, found: Mapping[str, EncoderPredictions]
) -> dict[str, EncoderScores]:
    """Score the selected predictions of each encoder."""
    truth, config = plan.truth, plan.config
    count = len(plan.outputs)
    return {
        encoder: score_encoder(
            truth,
            truth.layout.decode(one.assembled[:, :, :count]),
            config.resamples,
            config.seed,
            _measure_null(truth, matrix, one.assembled) if plan.permutations else None,
        )
        for encoder, one in found.items()
    }


def read_predictions(
    pieces: TableFolder,
    configurations: Sequence[Configuration],
    matrix: TargetMatrix,
    layout: OutputLayout | None = None,
) -> dict[str, EncoderPredictions]:
    """Read the predictions of each encoder; configurations are selected by their inner scores.

    Args:
        pieces: Of a run's units.
        configurations: In the order of their numbers.
        matrix: What was predicted.
        layout: Of targets that have several outputs each, which share one configuration in a fold:
            the one with the best mean inner score.
    """
    found: dict[str, EncoderPredictions] = {}
    for encoder in dict.fromkeys(configuration.encoder for configuration in configurations):
        numbers = [at for at, c in enumerate(configurations) if c.encoder == encoder]
        own = tuple(configurations[at] for at in numbers)
        read = [
            [read_repeat(pieces, number, repeat) for repeat in range(matrix.repeats)]
            for number in numbers
        ]
        predicted, choice, inner_score = (
            np.stack([np.stack([getattr(one, name) for one in some]) for some in read])
            for name in ("predicted", "choice", "inner_score")
        )
        if layout is not None and layout.coding is not None:
            of_targets = select_configurations(own, layout.average(inner_score))
            selected = of_targets[..., layout.owners]
        else:
            selected = select_configurations(own, inner_score)
        assembled = assemble_predictions(predicted, selected, matrix.fold_ids)
        own_predictions = tuple(
            map(ConfigurationPredictions, predicted, choice, inner_score, selected)
        )
        found[encoder] = EncoderPredictions(own, own_predictions, selected, assembled)
    return found


def iterate_predictions(
    truth: TargetTruth,
    found: Mapping[str, EncoderPredictions],
    matrix: TargetMatrix,
    patients: Sequence[str],
) -> Iterator[pa.Table]:
    """Yield every out-of-fold prediction, an encoder and repeat at a time.

    Args:
        truth: The targets that are labels.
        found: Predictions by encoder.
        matrix: What was predicted: those, then permuted ones.
        patients: (P,) their names.
    """
    schema = arrow_schema("outcome_predictions")
    rows, count = truth.values.shape
    labels = truth.values.T.astype(np.float32).reshape(-1)
    target = np.repeat(np.arange(count, dtype=np.int32), rows)
    patient = np.tile(np.arange(rows, dtype=np.int32), count)
    for encoder, one in found.items():
        poolings = pa.array([c.pooling for c in one.configurations])
        heads = pa.array([name_head(c) for c in one.configurations])
        for repeat in range(matrix.repeats):
            fold_ids = matrix.fold_ids[..., repeat, :]
            fold = np.broadcast_to(fold_ids, (count, rows)).reshape(-1)
            chosen = one.selected[:, repeat, :, :count].argmax(0)  # (F, T)
            at = chosen[np.maximum(fold, 0), target].astype(np.int32)
            predicted = one.assembled[repeat, :, :count].T.reshape(-1)
            kept = pa.array((fold >= 0) & ~np.isnan(labels) & ~np.isnan(predicted))
            columns = {
                "task": pa.repeat(truth.task, len(fold)),
                "target": pa.DictionaryArray.from_arrays(target, pa.array(truth.targets)),
                "encoder": pa.repeat(encoder, len(fold)),
                "patient_id": pa.DictionaryArray.from_arrays(patient, pa.array(patients)),
                "repeat": np.full(len(fold), repeat, np.int32),
                "fold": fold.astype(np.int32),
                "truth": labels,
                "predicted": predicted,
                "pooling": pa.DictionaryArray.from_arrays(at, poolings),
                "head": pa.DictionaryArray.from_arrays(at, heads),
            }
            table = pa.table({name: columns[name] for name in schema.names})
            yield table.filter(kept).cast(schema)


def _measure_null(
    truth: TargetTruth, matrix: TargetMatrix, assembled: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Score the permuted targets in each repeat, (R, B)."""
    count = len(truth.targets)
    permuted = matrix.targets[:, count:]
    return np.stack(
        [
            chance_statistic(permuted, one[:, count:], fold_ids, truth.sites)
            for one, fold_ids in zip(assembled, truth.fold_ids, strict=True)
        ]
    )


def tabulate_configurations(
    truth: TargetTruth, found: Mapping[str, EncoderPredictions]
) -> pa.Table:
    """Tabulate the scores of every configuration as rows of `schemas/outcome_scores.json`."""
    return pa.concat_tables(
        tabulate_scores(truth, _with_variant(configuration), _of_targets(predictions, truth))
        for one in found.values()
        for configuration, predictions in zip(one.configurations, one.predictions, strict=True)
    )


def _of_targets(
    predictions: ConfigurationPredictions, truth: TargetTruth
) -> ConfigurationPredictions:
    """Take the targets that are labels, without the permuted ones; of several outputs their mean.

    All outputs of a target share one configuration.
    """
    layout = truth.layout
    count = len(layout.owners)
    first = [part.start for part in layout.output_slices]
    return ConfigurationPredictions(
        layout.decode(predictions.predicted[..., :count]),
        layout.average(predictions.choice[..., :count]),
        layout.average(predictions.inner_score[..., :count]),
        predictions.selected[..., first],
    )


def _with_variant(configuration: Configuration) -> Configuration:
    """Put the variant into the head's name, as the tables have no column for it."""
    return replace(configuration, head=name_head(configuration))


def name_head(configuration: Configuration) -> str:
    """Name the head and, where several compete, its variant."""
    return " ".join(part for part in (configuration.head, configuration.variant) if part)
