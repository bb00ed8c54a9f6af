"""Bootstrap over patients: which are drawn how often, and what a score is then. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """A score of T targets, and what it would have been with other patients."""

    score: Floats
    """(T,) as observed."""
    draws: npt.NDArray[np.floating]
    """(B, T) of each resample; nan where it is undefined there."""

    @property
    def error(self) -> Floats:
        """(T,) standard error: standard deviation of the draws in which the score is defined.

        nan where fewer than two are.
        """
        draws = self.draws
        there = ~np.isnan(draws)
        if len(draws) > 1 and there.all():
            return np.asarray(draws.std(0, ddof=1, dtype=np.float64))
        draws = draws.astype(np.float64)
        count = there.sum(0)
        known = np.maximum(count, 1)
        mean = np.where(there, draws, 0.0).sum(0) / known
        squares = (np.where(there, draws - mean, 0.0) ** 2).sum(0)
        return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Both ends of the percentile interval.

        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

        Returns:
            (T,) low and (T,) high, of the draws in which the score is defined; nan if in none.
        """
        ends = [(1 - level) / 2, (1 + level) / 2]
        draws = self.draws.astype(np.float64)
        found = np.full((2, draws.shape[1]), np.nan)
        missing = np.isnan(draws)
        whole = ~missing.any(0)
        found[:, whole] = np.quantile(draws[:, whole], ends, axis=0)
        some = ~whole & ~missing.all(0)
        if some.any():
            found[:, some] = np.nanquantile(draws[:, some], ends, axis=0)
        return found[0], found[1]

    def minus(self, other: "Resampled") -> "Resampled":
        """The difference to another score of the same targets with the same draws of patients."""
        if self.draws.shape != other.draws.shape:
            raise ValueError(
                f"draws {self.draws.shape} and {other.draws.shape}: must be the same resamples"
            )
        return Resampled(self.score - other.score, self.draws - other.draws)


def draw_weights(
    count: int, resamples: int, seed: int, groups: Sequence[str] | None = None
) -> npt.NDArray[np.float32]:
    """How often each patient is drawn, with replacement, in each resample.

    Args:
        count: Patients P.
        resamples: B.
        seed: The same seed gives the same draws, so two encoders can be paired.
        groups: (P,) drawn whole in place of patients; a resample then has P patients on average.

    Returns:
        (B, P).
    """
    units = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(units.max()) + 1
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, size), np.float32)
    for row in weights:  # a resample at a time: the first ones are the same whatever their number
        row[:] = np.bincount(rng.integers(0, size, size), minlength=size)
    return weights if groups is None else weights[:, units]
