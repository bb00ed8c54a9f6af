"""Other intervals of the same scores, from what `testing.coverage_cohorts` says of each."""

import numpy as np
import pandas as pd
from scipy import stats

from histo_ray.learn.statistics import (
    FISHER_Z,
    SHARE,
    ScoreError,
    fold_overlap,
    score_interval,
    variance_inflation,
)
from testing.coverage_cohorts import N_FOLDS, Cell, Floats

CANDIDATES = (
    "bootstrap x root 2",
    "bootstrap, by noise",
    "folds, by noise",
    "test against chance",
    "chosen",
)


def cover_candidates(cell: Cell, frame: pd.DataFrame) -> dict[str, float]:
    """Coverage of the true score by each of `CANDIDATES`, in percent.

    Args:
        cell: Of patients.
        frame: Rows of its scores and differences.
    """
    rows = frame[~frame["of"].str.contains(" - ")]
    value, error, noise, true = (
        rows[name].to_numpy(np.float64) for name in ("value", "error", "noise", "true")
    )
    scale = FISHER_Z if cell.task == "expression" else SHARE
    folds, share = cell.repeats * N_FOLDS, 1 / N_FOLDS
    quantile = stats.t.ppf(0.975, folds - 1)
    chance = 2 * share * (1 - share)
    low, high = rows["test_low"].to_numpy(np.float64), rows["test_high"].to_numpy(np.float64)
    spread = (high - low) / 2 / quantile / np.sqrt(1 / folds + chance / (1 - chance))
    errors = {
        "bootstrap x root 2": (error * np.sqrt(2), np.inf),
        "bootstrap, by noise": (error * np.sqrt(variance_inflation(noise)), np.inf),
        "folds, by noise": (spread * np.sqrt(1 / folds + fold_overlap(noise, share)), folds - 1.0),
    }
    found = {}
    for name, (own, df) in errors.items():
        estimate = ScoreError(own, np.full(len(own), df))
        ends = score_interval(value, estimate, scale, cell.patients)
        found[name] = _cover(ends.low, ends.high, true)
    found["test against chance"] = _cover(low, high, true)
    chosen = [rows[name].to_numpy(np.float64) for name in ("low", "high")]
    return found | {"chosen": _cover(chosen[0], chosen[1], true)}


def _cover(low: Floats, high: Floats, true: Floats) -> float:
    return 100 * float(((low <= true) & (true <= high)).mean())
