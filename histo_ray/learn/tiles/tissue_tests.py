"""Tests of the difference between two encoders over the folds of tissue classification. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics import (
    DECIDED,
    FEWEST_UNITS,
    MOST_FOLDS,
    corrected_t_test,
    count_covariance,
    flag_folds,
    fold_t_test,
    plain_t_test,
)
from histo_ray.learn.targets.fold_support import ENOUGH_UNITS

Floats = npt.NDArray[np.float64]


class TileFolds(NamedTuple):
    """Which tiles each fold tests, and which of them are independent."""

    fold_ids: npt.NDArray[np.integer]
    """(R, N) fold of each tile."""
    units: npt.NDArray[np.intp]
    """(N,) number of the patient or other group of each tile; its own where none is known."""
    grouped: bool

    def count_units(self, classes: npt.NDArray[np.integer] | None = None) -> int:
        """Count independent units; those of the rarest class, where `classes` is given.

        Args:
            classes: (N,) class of each tile.
        """
        if classes is None:
            return len(np.unique(self.units))
        return min(len(np.unique(self.units[classes == one])) for one in np.unique(classes))


class DifferenceTest(NamedTuple):
    """Test of a mean difference over folds; nan where there is none."""

    difference: float
    p_corrected: float
    t_low: float
    t_high: float
    p_plain: float
    df: float


def test_folds(
    differences: Floats,
    folds: TileFolds,
    sizes: tuple[float, float],
    tiles: npt.NDArray[np.intp],
    units: int,
) -> DifferenceTest:
    """Corrected t-test over folds; of groups, or few tiles, by the covariance of their own folds.

    Args:
        differences: (R * F,) score of one encoder less that of the other, repeat by repeat; nan
            where a fold has none.
        folds: Which tiles they test.
        sizes: Mean number of tiles trained on and tested.
        tiles: Those that the score is about: all, or those of a class.
        units: Independent ones among them, from `TileFolds.count_units`.
    """
    there = ~np.isnan(differences)
    known = differences[there]
    if len(known) < 2:
        return DifferenceTest(*[float("nan")] * 6)
    mean, plain = float(known.mean()), float(plain_t_test(known).p)
    if folds.grouped or units < ENOUGH_UNITS:
        if units < FEWEST_UNITS:
            return DifferenceTest(mean, *[float("nan")] * 5)
        covariance = _covariance(folds, tiles)
        within = there[: len(covariance)] & ~np.isnan(covariance.diagonal())
        if within.sum() < 2:
            return DifferenceTest(mean, *[float("nan")] * 5)
        own = covariance[np.ix_(within, within)]
        found = fold_t_test(differences[: len(covariance)][within], own, units)
    else:
        found = corrected_t_test(known, *sizes)
        mean = float(found.difference)
    return DifferenceTest(
        mean, float(found.p), float(found.low), float(found.high), plain, float(found.df)
    )


class TileSupport(NamedTuple):
    """Splits, independent units and degrees of freedom of tests on tiles."""

    splits: int
    """Repeats."""
    units: int
    """Independent units: groups, or tiles where none is known."""
    units_of_classes: tuple[int, ...]
    """Independent units of each class that occurs."""
    units_are: str
    """groups or tiles."""
    degrees_of_freedom: float
    """Degrees of freedom of the test of accuracy; nan where there is none."""
    few: bool
    """Whether any test needs the covariance of its own folds."""


def count_tile_support(folds: TileFolds, labels: npt.NDArray[np.integer]) -> TileSupport:
    """Count what tests over the folds rest on.

    Args:
        folds: Which tiles they test.
        labels: (N,) class of each tile.
    """
    tiles, units = np.arange(len(labels)), folds.count_units()
    of_classes = tuple(len(np.unique(folds.units[labels == one])) for one in np.unique(labels))
    count = folds.fold_ids.shape[0]
    zeros = np.zeros(count * (int(folds.fold_ids.max()) + 1))
    return TileSupport(
        splits=count,
        units=units,
        units_of_classes=of_classes,
        units_are="groups" if folds.grouped else "tiles",
        degrees_of_freedom=test_folds(zeros, folds, (1.0, 1.0), tiles, units).df,
        few=folds.grouped or min(of_classes) < ENOUGH_UNITS,
    )


test_folds.__test__ = False  # type: ignore[attr-defined]


def _covariance(folds: TileFolds, tiles: npt.NDArray[np.intp]) -> Floats:
    """(J, J) of the folds, from the tiles of each unit that count."""
    units, first, number = np.unique(folds.units[tiles], return_index=True, return_inverse=True)
    weights = np.bincount(number, minlength=len(units)).astype(np.float64)
    n_folds = int(folds.fold_ids.max()) + 1
    fold_ids = folds.fold_ids[: max(1, MOST_FOLDS // n_folds)][:, tiles[first]]
    return count_covariance(flag_folds(fold_ids, n_folds), weights, DECIDED)
