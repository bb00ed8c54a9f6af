"""Scores of whole columns of several classes, as rows of `schemas/external_scores.json`. Pure."""

from collections.abc import Iterator

import numpy as np

from histo_ray.learn.external.external_classes import score_column
from histo_ray.learn.external.external_metrics import Draws
from histo_ray.learn.targets.class_codings import CODINGS
from histo_ray.learn.targets.class_tables import ORDERED
from histo_ray.predict.card import PredictorCard
from histo_ray.predict.external.external_cohort import ExternalCohort
from histo_ray.types import TargetKind

Row = dict[str, str | int | float]


def list_class_rows(card: PredictorCard, cohort: ExternalCohort, draws: Draws) -> Iterator[Row]:
    """Yield the scores of each column of several classes, of all patients.

    Args:
        card: Of the predictor; of other kinds there are no rows.
        cohort: Its predictions and the truth, class by class.
        draws: Of the bootstrap.
    """
    if card.kind not in {kind.value for kind in CODINGS}:
        return
    kind = TargetKind(card.kind)
    coding = CODINGS[kind]
    for column in dict.fromkeys(target.column for target in card.targets):
        own = [target for target in card.targets if target.column == column]
        at = [cohort.targets.index(t.name) for t in own if t.name in cohort.targets]
        if len(at) < len(own):
            continue
        calibrated, raw = cohort.calibrated[:, at], cohort.raw[:, at]
        said = np.where(np.isnan(calibrated), coding.settle(raw), calibrated)
        kept = ~(np.isnan(cohort.truth[:, at]).any(1) | np.isnan(said).any(1))
        truth = coding.decode(cohort.truth[kept][:, at]).argmax(1).astype(np.float64)
        found = score_column(truth, coding.decode(said[kept]), draws, ordered=kind in ORDERED)
        for metric, interval in found.items():
            trained = own[0] if own[0].metric == metric else None
            figures = (trained.score, trained.low, trained.high) if trained else (None,) * 3
            score, low, high = (np.nan if one is None else float(one) for one in figures)
            yield {
                "predictor": card.name,
                "target": column,
                "column": "",
                "group": "",
                "n_patients": len(truth),
                "positives": 0,
                "metric": metric,
                "score": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "trained": score,
                "trained_low": low,
                "trained_high": high,
                "optimism": score - interval.estimate,
            }
