"""Which of many targets may be called found, and how many are better with another encoder. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PaperCount:
    """Targets as publications count them."""

    targets: int
    found: int
    """P < level with either encoder, not corrected for the number of targets."""
    b_higher: int
    """Targets found where b scores higher, by however little."""


def count_as_paper(
    p_a: Floats, p_b: Floats, score_a: Floats, score_b: Floats, level: float = 0.05
) -> PaperCount:
    """Choose targets by uncorrected P on the scores that are then compared.

    The counting of Li et al. 2022, J Pathol Inform 13:100115 (171 genes with P < 0.05, 139 of them
    better), as far as it is stated. It is shown for comparison only: genes
    without signal are among those found, and scoring higher by however little counts as better
    (`python -m benchmarks.truth` shows it for two encoders that are worth the same).

    Args:
        p_a: (T,) of a relation with a; nan: none could be computed.
        p_b: (T,).
        score_a: (T,).
        score_b: (T,).
        level: Of P.
    """
    found = (p_a < level) | (p_b < level)
    return PaperCount(len(p_a), int(found.sum()), int((found & (score_b > score_a)).sum()))


def adjust_p(p: npt.ArrayLike) -> Floats:
    """q-values that control the false discovery rate over all of `p`.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289, by `scipy.stats.false_discovery_control`.

    Args:
        p: (M,) P values; nan where a test could not be made.

    Returns:
        (M,) q; nan stays nan and does not count as a test.
    """
    found = np.asarray(p, np.float64)
    there = ~np.isnan(found)
    q = np.full(found.shape, np.nan)
    if there.any():
        q[there] = stats.false_discovery_control(found[there])
    return q


def adjust_holm(p: npt.ArrayLike) -> Floats:
    """P values after correction by steps, so that none of them is wrong with 95 % at P < 0.05.

    Holm 1979, Scand J Stat 6:65.

    Args:
        p: (M,) P values; nan where a test could not be made.

    Returns:
        (M,); nan stays nan and does not count as a test.
    """
    found = np.asarray(p, np.float64)
    there = np.flatnonzero(~np.isnan(found))
    order = there[np.argsort(found[there], kind="stable")]
    adjusted = np.full(found.shape, np.nan)
    steps = found[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
