"""Scores of one encoder on labelled tiles, with intervals. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.learn.statistics import (
    DECIDED,
    FEWEST_UNITS,
    SHARE,
    ScoreError,
    estimate_error,
    resample_rows,
    score_interval,
)
from histo_ray.learn.targets.fold_support import ENOUGH_UNITS
from histo_ray.learn.tiles.tissue_tables import (
    Row,
    TileTally,
    TileTruth,
    list_metrics,
    rows_of_metric,
    scores_by_fold,
    test_metric,
    tile_folds,
)
from histo_ray.learn.tiles.tissue_tests import TileFolds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Draws of a bootstrap."""

    resamples: int
    seed: int


def score_encoder(
    tally: TileTally,
    truth: TileTruth,
    draws: Draws,
    fold_ids: npt.NDArray[np.integer] | None = None,
) -> Iterator[Row]:
    """Yield every score of an encoder, as rows of `tissue_summary.json` without split and encoder.

    Args:
        tally: Its predictions.
        truth: Of the tiles of this split.
        draws: Of the bootstrap over tiles, or over groups where they are known.
        fold_ids: (R, N) folds of the tiles; None: a set outside cross-validation, whose head has
            seen none of it.
    """
    folds = None if fold_ids is None else tile_folds(fold_ids, truth)
    for metric, label in list_metrics(truth):
        by_fold = scores_by_fold(tally, metric, label)
        score = np.array([np.nanmean(by_fold)])
        tiles, units = rows_of_metric(truth, metric, label)
        found = _estimate_error(tally, truth, metric, label, draws)
        if folds is not None:
            found = _correct(found, tally, folds, truth, metric, label)
        if units < FEWEST_UNITS:
            found = ScoreError(np.full(1, np.nan), np.full(1, np.nan))
        low, high = score_interval(score, found, SHARE, units)
        yield {
            "metric": metric,
            "label": label,
            "score": float(score[0]),
            "low": float(low[0]),
            "high": float(high[0]),
            "n_tiles": len(tiles),
            "units": units,
            "units_are": "tiles" if truth.groups is None else "groups",
        }


def decision_noise(right: Floats, repeats: int, share: float) -> Floats:
    """Share of the noise in decisions that other training parts would change.

    As `prediction_noise`. The mean correlation between repeats of being right or wrong follows from
    the variance of the share of repeats in which a tile is right, and that of what is decided upon
    is sin(pi / 2 * correlation), exact for two normal variables cut at their medians (Sheppard
    1899, Philos Trans R Soc A 192:101).

    Args:
        right: (N,) share of the repeats in which each tile is right.
        repeats: R.
        share: Share of the tiles that a fold tests.

    Returns:
        (1,) from 0 to 1; nan for one repeat, or where all tiles are right or all wrong.
    """
    mean = float(right.mean())
    spread = mean * (1 - mean)
    if repeats < 2 or spread <= 0:
        return np.full(1, np.nan)
    alike = (repeats * float(right.var()) / spread - 1) / (repeats - 1)
    noise = (1 - np.sin(np.pi / 2 * np.clip(alike, 0.0, 1.0))) / share
    return np.array([min(float(noise), 1.0)])


def _estimate_error(
    tally: TileTally, truth: TileTruth, metric: str, label: str, draws: Draws
) -> ScoreError:
    """Bootstrap with the head held fixed."""
    tiles, units = rows_of_metric(truth, metric, label)
    groups = None if truth.groups is None else np.asarray(truth.groups)[tiles]
    classes = truth.labels if metric == "balanced_accuracy" else None
    _, means = resample_rows(tally.right[tiles], classes, groups, draws.resamples, draws.seed)
    return ScoreError(np.array([means.std(ddof=1)]), np.array([max(units - 1.0, 1.0)]))


def _correct(
    found: ScoreError,
    tally: TileTally,
    folds: TileFolds,
    truth: TileTruth,
    metric: str,
    label: str,
) -> ScoreError:
    """Add what other training parts would change; of few units by the test of the folds alone."""
    by_fold = scores_by_fold(tally, metric, label)
    tiles, units = rows_of_metric(truth, metric, label)
    sizes = [float(np.mean([row[name] for row in tally.scores])) for name in ("n_train", "n_test")]
    if units < ENOUGH_UNITS:
        test = test_metric(by_fold, folds, (sizes[0], sizes[1]), truth, metric, label)
        with np.errstate(invalid="ignore"):
            error = (test.t_high - test.t_low) / 2 / stats.t.ppf(0.975, test.df)
        error = 0.0 if np.isnan(error) and not np.isnan(test.df) else error  # equal folds
        return ScoreError(np.array([error]), np.array([test.df]))
    share = sizes[1] / sum(sizes)
    noise = decision_noise(tally.right[tiles], len(folds.fold_ids), share)
    return estimate_error(found.error, by_fold[None], noise, share, units, DECIDED)
