"""What images add to covariates: the table of a run, and what its record says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from histo_ray.evaluate.patients.confounder_record import AddedValue
from histo_ray.evaluate.patients.covariate_plan import ALONE, name_added
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.learn.targets.added_tables import (
    AddedScores,
    correlate_added,
    tabulate_added_scores,
)
from histo_ray.learn.targets.target_scores import EncoderScores
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth

TABLE = "added_value"
"""Name of the table in a run's folder."""
Q = 0.05
"""Level of significance, after Benjamini-Hochberg."""


def take_encoders(
    plan: PatientPlan, scores: Mapping[str, EncoderScores]
) -> dict[str, EncoderScores]:
    """Take the scores of encoders, which are compared with each other; not those of covariates."""
    return {slides.encoder: scores[slides.encoder] for slides in plan.found}


def correlate_rows(
    plan: PatientPlan, truth: TargetTruth, predictions: Mapping[str, Predictions]
) -> dict[str, Floats]:
    """Correlate what images add with what covariates leave, (R, F, T) by encoder.

    Args:
        plan: Of the run.
        truth: Its targets, or some of them.
        predictions: (R, P, T) out-of-fold predictions of these by row.

    Returns:
        Nothing for a run without covariates.
    """
    if plan.covariates is None:
        return {}
    return {
        slides.encoder: correlate_added(truth, predictions[ALONE], predictions[row])
        for slides in plan.found
        if (row := name_added(slides.encoder)) in predictions
    }


def tabulate_added(
    plan: PatientPlan, scores: Mapping[str, EncoderScores], added: Mapping[str, Floats]
) -> dict[str, pa.Table]:
    """Tabulate what the images of each encoder add; empty for a run without covariates.

    Args:
        plan: Of the run.
        scores: By row: encoder, covariates, images beyond covariates.
        added: From `correlate_rows`.
    """
    if plan.covariates is None:
        return {}
    both = {name: AddedScores(scores[name_added(name)], one) for name, one in added.items()}
    return {TABLE: tabulate_added_scores(plan.truth, scores[ALONE], both)}


def summarise_added(table: pa.Table | None) -> tuple[AddedValue, ...]:
    """Summarise what each encoder adds over all targets, for each kind of score.

    Args:
        table: Rows of `outcome_added_value`; None: a run without covariates.
    """
    if table is None:
        return ()
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in table.to_pylist():
        alike.setdefault((row["encoder"], row["metric"]), []).append(row)
    return tuple(_summarise(encoder, rows) for (encoder, _), rows in alike.items())


def _summarise(encoder: str, rows: Sequence[Mapping[str, Any]]) -> AddedValue:
    def mean(name: str) -> float | None:
        values = [row[name] for row in rows if row[name] == row[name]]
        return float(np.mean(values)) if values else None

    return AddedValue(
        encoder=encoder,
        metric=rows[0]["metric"],
        targets=len(rows),
        tested=sum(row["p_added"] == row["p_added"] for row in rows),
        significant=tuple(
            row["target"] for row in rows if row["q_added"] < Q and row["partial"] > 0
        ),
        covariates=mean("score_covariates"),
        both=mean("score_both"),
        difference=mean("difference"),
        partial=mean("partial"),
    )
