"""All tables of an evaluation of patients, from the pieces that its units left behind.

Predictions are read twice: a block of targets with all repeats, to be scored, and a repeat with all
targets, to be written. So memory does not grow with the number of targets times that of repeats.
"""

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
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
from histo_ray.evaluate.patients.prediction_blocks import (
    EncoderPieces,
    EncoderPredictions,
    list_repeats,
    open_pieces,
)
from histo_ray.evaluate.patients.review_tables import tabulate_reviews
from histo_ray.evaluate.patients.scored_plan import score_plan
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.endpoint import tabulate_endpoints
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_scores import EncoderScores
from histo_ray.learn.targets.target_tables import (
    FOLD_SCORES,
    ConfigurationPredictions,
    compare_encoders,
    tabulate_scores,
    tabulate_targets,
)
from histo_ray.learn.targets.target_truth import Predictions, TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder

ROWS_AT_ONCE = 1 << 20
"""Rows of a table made at once: bounds memory, not the result."""


def write_patient_tables(
    folder: TableFolder, pieces: TableFolder, plan: PatientPlan, matrix: TargetMatrix
) -> dict[str, pa.Table]:
    """Write every table of a run; all but scores and predictions are returned.

    Args:
        folder: Of the run.
        pieces: Of its units.
        plan: Configurations, patients, folds, resamples and seed.
        matrix: Labels, and permuted ones behind them.
    """
    truth, patients = plan.truth, plan.patients
    found = open_pieces(pieces, plan.configurations, matrix)
    people = patients.cohort.patients
    predictions = iterate_predictions(truth, found, matrix, people)
    with _write_beside(folder, predictions):
        scores, added, reviews = score_plan(plan, matrix, found)
        write_scores(folder, truth, found, scores)
    encoders = take_encoders(plan, scores)
    tables = {
        "targets": tabulate_targets(truth, scores),
        "endpoints": tabulate_endpoints(truth, encoders),
        "comparisons": compare_encoders(truth, encoders),
        "folds": tabulate_outcome_folds(plan.folds, people, truth.targets, patients.groups),
        "cohort": tabulate_cohort(patients.cohort),
        **tabulate_added(plan, scores, added),
        **tabulate_reviews(plan, reviews),
    }
    if plan.config.leave_out == "site":  # one repeat
        tables |= tabulate_sites(plan, decode_predictions(plan, read_predictions(found)))
    for name, table in tables.items():
        folder.write(name, [table], table.schema)
    return tables


@contextmanager
def _write_beside(folder: TableFolder, tables: Iterable[pa.Table]) -> Iterator[None]:
    """Write predictions in a thread beside what is done meanwhile; they are there at the end.

    Where that fails, they are given up.
    """
    schema = arrow_schema("outcome_predictions")
    failed = threading.Event()

    def give() -> Iterator[pa.Table]:
        for table in tables:
            if failed.is_set():
                raise CancelledError
            yield table

    with ThreadPoolExecutor(1) as thread:
        written = thread.submit(folder.write, "predictions", give(), schema, plain=("predicted",))
        try:
            yield
        except BaseException:
            failed.set()
            raise
        written.result()


def read_predictions(found: Mapping[str, EncoderPieces]) -> dict[str, EncoderPredictions]:
    """Read all predictions of each encoder."""
    return {name: one.read() for name, one in found.items()}


def decode_predictions(
    plan: PatientPlan, found: Mapping[str, EncoderPredictions]
) -> dict[str, Predictions]:
    """Take each encoder's selected predictions of its targets, without permuted ones."""
    count, layout = len(plan.outputs), plan.truth.layout
    return {name: layout.decode(one.assembled[:, :, :count]) for name, one in found.items()}


def write_scores(
    folder: TableFolder,
    truth: TargetTruth,
    found: Mapping[str, EncoderPieces],
    scores: Mapping[str, EncoderScores],
) -> None:
    """Write the scores of every configuration as rows of `schemas/outcome_scores.json`."""
    tables = iterate_scores(truth, found, scores)
    first = next(tables)
    plain = ("inner_score", *FOLD_SCORES)
    folder.write("scores", itertools.chain([first], tables), first.schema, plain=plain)


def iterate_scores(
    truth: TargetTruth, found: Mapping[str, EncoderPieces], scores: Mapping[str, EncoderScores]
) -> Iterator[pa.Table]:
    """Yield the scores of every configuration, some repeats at a time.

    Args:
        truth: Labels and folds.
        found: Pieces by encoder.
        scores: Of what was selected, by encoder: of one configuration alone it is all there is.
    """
    outputs = slice(0, len(truth.layout.outputs))
    for name, one in found.items():
        known = scores[name].columns if len(one.configurations) == 1 else None
        for at, configuration in enumerate(one.configurations):
            named = replace(configuration, head=name_head(configuration))
            alone = one.take(at)
            for repeats in list_repeats(truth, 1):
                part = truth.take_repeats(repeats) if truth.repeats_alike else truth
                (own,) = alone.read(outputs, repeats).predictions
                own = own._replace(selected=one.selected[at, repeats, :, outputs])
                columns = known and {column: rows[repeats] for column, rows in known.items()}
                yield tabulate_scores(part, named, of_targets(own, truth), repeats.start, columns)


def iterate_predictions(
    truth: TargetTruth,
    found: Mapping[str, EncoderPieces],
    matrix: TargetMatrix,
    patients: Sequence[str],
) -> Iterator[pa.Table]:
    """Yield every out-of-fold prediction, an encoder and repeat at a time.

    Args:
        truth: The targets that are labels.
        found: Pieces by encoder.
        matrix: What was predicted: those, then permuted ones.
        patients: (P,) their names.
    """
    rows, count = truth.values.shape
    step = max(1, ROWS_AT_ONCE // rows)
    for encoder, one in found.items():
        for repeat in range(matrix.repeats):
            (assembled,) = one.read(slice(0, count), slice(repeat, repeat + 1)).assembled
            fold_ids = matrix.fold_ids[..., repeat, :]
            for start in range(0, count, step):
                some = slice(start, min(count, start + step))
                own = _Rows(
                    truth.values[:, some],
                    assembled[:, some],
                    fold_ids[some] if fold_ids.ndim == 2 else fold_ids,
                    one.selected[:, repeat, :, some],
                )
                names = (truth.targets[some], patients)
                yield _tabulate_rows(own, truth.task, encoder, repeat, names, one.configurations)


class _Rows(NamedTuple):
    """Some targets of one repeat."""

    values: npt.NDArray[np.float64]
    """(P, t) labels."""
    predicted: npt.NDArray[np.float32]
    """(P, t)."""
    fold_ids: npt.NDArray[np.int32]
    """(P,), or (t, P)."""
    selected: npt.NDArray[np.bool_]
    """(C, F, t)."""


def _tabulate_rows(
    own: _Rows, task: str, encoder: str, repeat: int,
    names: tuple[Sequence[str], Sequence[str]], configurations: Sequence[Configuration],
) -> pa.Table:  # fmt: skip
    """Tabulate rows of `outcome_predictions`; `names` are those of targets and patients."""
    schema = arrow_schema("outcome_predictions")
    rows, count = own.values.shape
    labels = own.values.T.astype(np.float32).reshape(-1)
    target = np.repeat(np.arange(count, dtype=np.int32), rows)
    patient = np.tile(np.arange(rows, dtype=np.int32), count)
    fold = np.broadcast_to(own.fold_ids, (count, rows)).reshape(-1)
    at = own.selected.argmax(0)[np.maximum(fold, 0), target].astype(np.int32)
    predicted = own.predicted.T.reshape(-1)
    kept = (fold >= 0) & ~np.isnan(labels) & ~np.isnan(predicted)
    poolings = pa.array([c.pooling for c in configurations])
    heads = pa.array([name_head(c) for c in configurations])
    columns = {
        "task": pa.repeat(task, len(fold)),
        "target": pa.DictionaryArray.from_arrays(target, pa.array(names[0])),
        "encoder": pa.repeat(encoder, len(fold)),
        "patient_id": pa.DictionaryArray.from_arrays(patient, pa.array(names[1])),
        "repeat": np.full(len(fold), repeat, np.int32),
        "fold": fold.astype(np.int32),
        "truth": labels,
        "predicted": predicted,
        "pooling": pa.DictionaryArray.from_arrays(at, poolings),
        "head": pa.DictionaryArray.from_arrays(at, heads),
    }
    table = pa.table({name: columns[name] for name in schema.names})
    return (table if kept.all() else table.filter(pa.array(kept))).cast(schema)


def of_targets(
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


def name_head(configuration: Configuration) -> str:
    """Name the head and, where several compete, its variant."""
    return " ".join(part for part in (configuration.head, configuration.variant) if part)
