"""How rarely chance does as well: P values from scores under permuted labels. Pure."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TAIL_SHARE = 0.02
"""Share of a null's values, the highest, from which its tail is extrapolated."""
TAIL_COUNT = 20
"""Fewest of them."""


def permutation_p(observed: npt.ArrayLike, null: npt.ArrayLike) -> Floats:
    """(1 + number of null values that are as high) / (1 + number of null values).

    Never 0, and never below its level too often: Phipson and Smyth 2010, Stat Appl Genet Mol Biol
    9:39, doi 10.2202/1544-6115.1585.

    Args:
        observed: (T,) statistic, higher is better; nan: could not be computed.
        null: (B,) pooled, for all targets; or (B, T), each target's own. nan does not count.

    Returns:
        (T,); nan where nothing was observed.
    """
    seen = np.atleast_1d(np.asarray(observed, np.float64))
    values = np.asarray(null, np.float64)
    if values.ndim == 2 and values.shape[1] == len(seen):
        as_high = (values >= seen).sum(0)
        count = (~np.isnan(values)).sum(0)
    elif values.ndim == 1:
        ordered = np.sort(values[~np.isnan(values)])
        count = np.asarray(len(ordered))
        as_high = len(ordered) - np.searchsorted(ordered, seen, side="left")
    else:
        raise ValueError(f"null: {values.shape}, must be (B,) or (B, {len(seen)})")
    return np.where(np.isnan(seen), np.nan, (1 + as_high) / (1 + count))


def smooth_permutation_p(observed: npt.ArrayLike, null: npt.ArrayLike) -> Floats:
    """`permutation_p` of a pooled null, extrapolated beyond its highest values.

    B permutations cannot give P below 1 / (B + 1), which may be too coarse for any target to
    survive a correction over thousands. Excesses over a threshold are taken for exponential:
    that of a further value over their mean then follows F(2, 2k), k of them, so that P is
    (k + 1) / (B + 1) * (1 + excess / their sum)^-k. That is exact for an exponential tail and too
    high, never too low, for any lighter one (log-concave: normal, logistic, sums of chi-squares).
    The idea of extrapolating: Knijnenburg et al. 2009, Bioinformatics 25:i161; an exponential tail
    in place of their generalised Pareto, which may end and then gives P = 0.

    Args:
        observed: (T,) statistic, higher is better; nan: could not be computed.
        null: (B,) pooled; nan does not count.

    Returns:
        (T,); `permutation_p` below the threshold, or where B does not suffice for a tail.
    """
    plain = permutation_p(observed, null)
    seen = np.atleast_1d(np.asarray(observed, np.float64))
    values = np.asarray(null, np.float64)
    ordered = np.sort(values[~np.isnan(values)])
    k = max(TAIL_COUNT, int(TAIL_SHARE * len(ordered)))
    if len(ordered) < 5 * k:
        return plain
    threshold = ordered[-k - 1]
    total = (ordered[-k:] - threshold).sum()
    if not total > 0:  # ties
        return plain
    excess = np.maximum(np.nan_to_num(seen) - threshold, 0.0)
    tail = (k + 1) / (len(ordered) + 1) * np.exp(-k * np.log1p(excess / total))
    return np.where(seen > threshold, tail, plain)
