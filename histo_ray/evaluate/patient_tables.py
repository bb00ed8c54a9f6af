"""All tables of an evaluation, from the answers that its trials left behind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.cohort.cohort_table import tabulate_cohort
from histo_ray.cohort.patient_folds import OutcomeFolds, tabulate_outcome_folds
from histo_ray.evaluate.patient_data import Patients
from histo_ray.evaluate.patient_settings import OutcomeConfig
from histo_ray.evaluate.patient_unit import Answers, read_answer
from histo_ray.learn.configurations import (
    Configuration,
    assemble_predictions,
    select_configurations,
)
from histo_ray.learn.target_scores import score_encoder
from histo_ray.learn.target_tables import (
    Judged,
    compare_encoders,
    tabulate_scores,
    tabulate_targets,
)
from histo_ray.learn.target_truth import TargetTruth
from histo_ray.learn.statistics import chance_statistic
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder


class EncoderAnswers(NamedTuple):
    """What one encoder's configurations said."""

    configurations: tuple[Configuration, ...]
    """C of them."""
    judged: tuple[Judged, ...]
    """Of each; permuted targets too."""
    selected: npt.NDArray[np.bool_]
    """(C, R, F, T)."""
    assembled: npt.NDArray[np.float32]
    """(R, P, T) of the configuration selected for each fold."""


class Cohort(NamedTuple):
    """What the tables say beside predictions."""

    truth: TargetTruth
    patients: Patients
    folds: OutcomeFolds


def write_tables(
    folder: TableFolder,
    pieces: TableFolder,
    configurations: Sequence[Configuration],
    answers: Answers,
    cohort: Cohort,
    config: OutcomeConfig,
) -> dict[str, pa.Table]:
    """Write every table of a run; all but the predictions are returned.

    Args:
        folder: Of the run.
        pieces: Of its trials' answers.
        configurations: As they were numbered.
        answers: Labels, and permuted ones behind them.
        cohort: Patients, labels and folds.
        config: Resamples and seed.
    """
    truth, patients = cohort.truth, cohort.patients
    count = len(truth.targets)
    found = read_judged(pieces, configurations, answers)
    scores = {
        encoder: score_encoder(
            truth,
            one.assembled[:, :, :count],
            config.resamples,
            config.seed,
            _measure_null(truth, answers, one.assembled) if len(answers.names) > count else None,
        )
        for encoder, one in found.items()
    }
    people = patients.cohort.patients
    tables = {
        "scores": pa.concat_tables(
            tabulate_scores(truth, _named(configuration), _first(judged, count))
            for one in found.values()
            for configuration, judged in zip(one.configurations, one.judged, strict=True)
        ),
        "targets": tabulate_targets(truth, scores),
        "comparisons": compare_encoders(truth, scores),
        "folds": tabulate_outcome_folds(cohort.folds, people, truth.targets, patients.groups),
        "cohort": tabulate_cohort(patients.cohort),
    }
    predictions = iterate_predictions(truth, found, answers, people)
    folder.write("predictions", predictions, arrow_schema("outcome_predictions"))
    for name, table in tables.items():
        folder.write(name, [table], table.schema)
    return tables


def read_judged(
    pieces: TableFolder, configurations: Sequence[Configuration], answers: Answers
) -> dict[str, EncoderAnswers]:
    """The answers of each encoder; configurations are selected by their inner scores."""
    found: dict[str, EncoderAnswers] = {}
    for encoder in dict.fromkeys(configuration.encoder for configuration in configurations):
        numbers = [at for at, c in enumerate(configurations) if c.encoder == encoder]
        own = tuple(configurations[at] for at in numbers)
        read = [
            [read_answer(pieces, number, repeat) for repeat in range(answers.repeats)]
            for number in numbers
        ]
        predicted, choice, inner_score = (
            np.stack([np.stack([getattr(a, name) for a in some]) for some in read])
            for name in ("predicted", "choice", "inner_score")
        )
        selected = select_configurations(own, inner_score)
        assembled = assemble_predictions(predicted, selected, answers.parts)
        judged = tuple(map(Judged, predicted, choice, inner_score, selected))
        found[encoder] = EncoderAnswers(own, judged, selected, assembled)
    return found


def iterate_predictions(
    truth: TargetTruth,
    found: Mapping[str, EncoderAnswers],
    answers: Answers,
    patients: Sequence[str],
) -> Iterator[pa.Table]:
    """Every out-of-fold prediction, an encoder and repeat at a time.

    Args:
        truth: Of the targets that are labels.
        found: By encoder.
        answers: What was predicted: those, then permuted ones.
        patients: (P,) their names.
    """
    schema = arrow_schema("outcome_predictions")
    rows, count = truth.values.shape
    labels = truth.values.T.astype(np.float32).reshape(-1)
    target = np.repeat(np.arange(count, dtype=np.int32), rows)
    patient = np.tile(np.arange(rows, dtype=np.int32), count)
    for encoder, one in found.items():
        poolings = pa.array([c.pooling for c in one.configurations])
        heads = pa.array([_name_head(c) for c in one.configurations])
        for repeat in range(answers.repeats):
            parts = answers.parts[..., repeat, :]
            fold = np.broadcast_to(parts, (count, rows)).reshape(-1)
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
    truth: TargetTruth, answers: Answers, assembled: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """(R, B) what chance scores in each repeat, from the permuted targets."""
    count = len(truth.targets)
    permuted = answers.targets[:, count:]
    return np.stack(
        [
            chance_statistic(permuted, one[:, count:], parts, truth.sites)
            for one, parts in zip(assembled, truth.parts, strict=True)
        ]
    )


def _first(judged: Judged, count: int) -> Judged:
    """Without the permuted targets."""
    return Judged(
        judged.predicted[..., :count],
        judged.choice[..., :count],
        judged.inner_score[..., :count],
        judged.selected[..., :count],
    )


def _named(configuration: Configuration) -> Configuration:
    """With its variant in the head's name, as the tables have no column for it."""
    return replace(configuration, head=_name_head(configuration))


def _name_head(configuration: Configuration) -> str:
    """Head and, where several compete, its variant."""
    return " ".join(part for part in (configuration.head, configuration.variant) if part)
