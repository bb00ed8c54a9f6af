"""What each tile adds to its patient's decision value. Pure.

A decision value is what a head says before its link: a value, or log-odds. Of a linear head on a
weighted mean of tiles it is shared out exactly. With p the pooled vector, w the raw weights and b
the bias of the head, and a_i the tiles' weights, which sum to 1:

    decision = hold(p) w + b = sum of a_i s_i,   s_i = x_i w + b + (hold(p) - p) w

`hold` keeps a pooled vector within the range of the training part (`FeatureScale.hold`), so the
decision of a patient outside of it is not the mean over the tiles' x_i w + b. What that takes away,
and what float32 rounds off the pooled vector, is the last term: the same for all tiles of the
patient, so it moves no tile against another.

Attention is such a mean too: its output is linear in the attended sum of tiles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class TileScores(NamedTuple):
    """What N tiles, all of one patient, add to the patient's decision value."""

    score: Floats
    """(N,) what the head says of the tile alone, on the scale of decision values."""
    weight: Floats
    """(N,) share of the tile in the patient's pooled vector, sum 1."""
    contribution: Floats
    """(N,) whose mean over all tiles of the patient is the patient's decision value. With one head
    it is N times weight times score."""
    exact: bool = True
    """Whether that mean is the decision value; else see `influence_of`."""


def share_out(projected: Floats, weights: npt.NDArray[np.floating], decision: float) -> TileScores:
    """Share out the decision of a linear head on J weighted means, side by side.

    Args:
        projected: (J, N) products of all tiles of the patient with the head's raw weights of each
            mean.
        weights: (J, N) of the tiles in each mean, not below 0; each row has some.
        decision: What the head says of the patient.

    Returns:
        With J above 1 no tile has one weight: there the weight is 1 / N, and the score the
        contribution.
    """
    count = projected.shape[1]
    shares = weights / weights.sum(axis=1, dtype=np.float64, keepdims=True)
    offset = decision - float((shares * projected).sum())
    if len(projected) > 1:
        contribution = count * (shares * projected).sum(axis=0) + offset
        return TileScores(contribution, np.full(count, 1 / count), contribution)
    score = projected[0] + offset
    return TileScores(score, shares[0], count * shares[0] * score)


def influence_of(without: Floats, whole: float, decision: float) -> TileScores:
    """Influence of each tile, where a pooling has no exact decomposition.

    The jackknife's pseudo-values, Efron and Tibshirani 1993, An Introduction to the Bootstrap,
    equation 11.14: N times the whole minus N - 1 times what is left without the tile. Of a mean
    they are the exact contributions; of another statistic their mean is near the whole or not.

    Args:
        without: (N,) product of the head's raw weights with the pooled vector of all tiles but
            this one; of a single tile, anything.
        whole: The same with all tiles.
        decision: What the head says of the patient.
    """
    count = len(without)
    contribution = decision + (count - 1) * (whole - without) if count > 1 else np.array([decision])
    return TileScores(contribution, np.full(count, 1 / count), contribution, exact=count == 1)


def average_scores(parts: Sequence[TileScores], heads: Sequence[int]) -> TileScores:
    """Average over heads, as over the repeats of a cross-validation.

    Args:
        parts: Of the same tiles.
        heads: How many heads each of `parts` is the mean of.
    """
    score, weight, contribution = (
        np.average([getattr(part, name) for part in parts], axis=0, weights=heads)
        for name in ("score", "weight", "contribution")
    )
    return TileScores(score, weight, contribution, all(part.exact for part in parts))
