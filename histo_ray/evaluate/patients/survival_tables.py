"""Tables that only evaluations of survival have: scores at times, and survival of halves."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.evaluate.patients.patient_tables import read_predictions
from histo_ray.evaluate.patients.prediction_blocks import EncoderPredictions, open_pieces
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.statistics import find_horizon, integrate_over
from histo_ray.learn.targets.follow_up import choose_times, measure_follow_up
from histo_ray.learn.targets.survival_by_fold import (
    BrierScores,
    FoldHead,
    average_auc,
    average_brier,
)
from histo_ray.learn.targets.survival_halves import compare_halves, draw_halves, split_halves
from histo_ray.learn.targets.target_tests import test_above_chance
from histo_ray.learn.targets.target_truth import Floats
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder

BRIER_REPEATS = 10
"""Repeats whose heads are trained again for Brier scores; more change their mean hardly."""
GRID = 51
"""Times, from 0 to the horizon, over which the Brier score is integrated."""
Row = Mapping[str, object]


class _Endpoint(NamedTuple):
    """One endpoint with what one encoder predicts of it."""

    number: int
    encoder: str
    found: EncoderPredictions
    halves: Floats
    """(R, P)."""


def write_survival_tables(prepared: PreparedPatients, pieces: TableFolder) -> None:
    """Write `survival`, `survival_times` and `survival_curves` into the folder of a run.

    Args:
        prepared: Patients, signed times, folds and features.
        pieces: Predictions of its units.
    """
    plan, matrix = prepared.plan, prepared.matrix
    rows: dict[str, list[Row]] = {"survival": [], "survival_times": [], "survival_curves": []}
    opened = open_pieces(pieces, plan.configurations, matrix)
    for encoder, found in read_predictions(opened).items():
        endpoints = [
            _Endpoint(
                number,
                encoder,
                found,
                split_halves(matrix.fold_ids_of(number), found.assembled[:, :, number]),
            )
            for number in range(len(plan.targets))
        ]
        statistics = np.stack([_test_halves(prepared, one) for one in endpoints], axis=-1)
        tests = test_above_chance(plan.truth, statistics).p
        for one, p in zip(endpoints, tests.tolist(), strict=True):
            with threadpool_limits(1):  # so that sums keep their order
                summary, at_times = _score(prepared, one)
            rows["survival"].append({**summary, "p_halves": p})
            rows["survival_times"] += at_times
            rows["survival_curves"] += _list_curves(prepared, one)
    for name, listed in rows.items():
        schema = arrow_schema(f"outcome_{name}")
        prepared.folder.write(name, [pa.Table.from_pylist(listed, schema)], schema)


def _test_halves(prepared: PreparedPatients, one: _Endpoint) -> Floats:
    """(R, F) log-rank statistics."""
    matrix = prepared.matrix
    fold_ids = matrix.fold_ids_of(one.number)
    found = np.full((matrix.repeats, matrix.n_folds), np.nan)
    own = compare_halves(matrix.targets[:, one.number], fold_ids, one.halves)
    found[:, : own.shape[1]] = own
    return found


def _score(prepared: PreparedPatients, one: _Endpoint) -> tuple[Row, list[Row]]:
    """Scores over all times up to the horizon, and at each stated time."""
    plan = prepared.plan
    signed = prepared.matrix.targets[:, one.number]
    fold_ids = prepared.matrix.fold_ids_of(one.number)
    stated: tuple[float, ...] = getattr(plan.config, "times", ())
    times, horizon = choose_times(signed, stated), find_horizon(signed)
    auc = average_auc(signed, fold_ids, one.found.assembled[:, :, one.number], times)
    grid = np.linspace(0.0, horizon, GRID)
    brier = _score_brier(prepared, one, np.concatenate([times, grid]))
    count, unit = len(times), str(getattr(plan.config, "time_unit", ""))
    known = np.abs(signed[~np.isnan(signed)])
    events = signed[signed > 0]
    named = {"task": plan.task.name, "target": plan.targets[one.number], "encoder": one.encoder}
    summary = named | {
        "unit": unit,
        "n_patients": len(known),
        "events": len(events),
        "median_follow_up": measure_follow_up(signed),
        "horizon": horizon,
        "brier": integrate_over(grid, brier.model[count:]),
        "brier_km": integrate_over(grid, brier.kaplan_meier[count:]),
    }
    rows: list[Row] = [
        named
        | {
            "time": float(time),
            "events": int((events <= time).sum()),
            "at_risk": int((known > time).sum()),
            "auc": float(auc[at]),
            "brier": float(brier.model[at]),
            "brier_km": float(brier.kaplan_meier[at]),
        }
        for at, time in enumerate(times)
    ]
    return summary, rows


def _score_brier(prepared: PreparedPatients, one: _Endpoint, times: Floats) -> BrierScores:
    """Brier scores of the heads that were selected; nan where they cannot be trained again."""
    plan, found = prepared.plan, one.found
    selected = found.selected[..., one.number].argmax(0)  # (R, F)
    heads = {configuration.head for configuration in found.configurations}
    changed = plan.config.harmonise != "none"  # heads are trained again on features as they are
    if changed or any(load_patient_head(head).fit is None for head in heads):
        return BrierScores(*(np.full(len(times), np.nan),) * 2)

    def find_head(repeat: int, fold: int) -> FoldHead:
        at = int(selected[repeat, fold])
        configuration = found.configurations[at]
        return FoldHead(
            prepared.features[one.encoder, configuration.pooling],
            configuration.head,
            float(found.predictions[at].choice[repeat, fold, one.number]),
        )

    return average_brier(
        prepared.matrix.targets[:, one.number],
        prepared.matrix.fold_ids_of(one.number)[:BRIER_REPEATS],
        plan.groups,
        find_head,
        times,
    )


def _list_curves(prepared: PreparedPatients, one: _Endpoint) -> Iterator[Row]:
    plan = prepared.plan
    curves = draw_halves(prepared.matrix.targets[:, one.number], one.halves)
    for half, curve in curves.items():
        for time, survival, at_risk in zip(*curve, strict=True):
            yield {
                "task": plan.task.name,
                "target": plan.targets[one.number],
                "encoder": one.encoder,
                "half": half,
                "time": float(time),
                "survival": float(survival),
                "at_risk": float(at_risk),
            }
