"""One fold of tissue classification: embeddings, labels, fold, settings -> predictions. Pure.

What a fold is judged on is never looked at: standardisation, penalty and weights come from the
training part alone, and the penalty is chosen on a part of that which is held out in turn.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histo_ray.learn.head_names import HeadName, Solver
from histo_ray.learn.heads import CHOICES, HEADS, standardise
from histo_ray.learn.least_squares import Moments, add_moments, solve_least_squares, sum_moments

EXACT_LIMIT = 1e11
"""Rows x features x classes x fits of one encoder, up to which `auto` fits logistic regression.

Beyond, it is hours on a few cores, and `auto` takes least squares; `describe_cost` times a fit.
"""


@dataclass(frozen=True)
class HeadSettings:
    """How heads are trained."""

    head: HeadName | Literal["least-squares"] = "logistic"
    inner_parts: int = 1
    """Parts of the training part that are held out in turn to choose on."""


@dataclass(frozen=True)
class Judged:
    """What a head says of rows that it was not trained on."""

    predicted: npt.NDArray[np.int32]
    """(n,) class."""
    confidence: npt.NDArray[np.float32]
    """(n,) score of that class: probability, margin, share of votes, or fitted value."""
    choice: float
    """Penalty or neighbours, as chosen inside the training part."""


@dataclass(frozen=True)
class TissueTiles:
    """Labelled tiles in one encoder's eyes."""

    embeddings: npt.NDArray[np.floating]
    """(N, D), finite."""
    labels: npt.NDArray[np.int32]
    """(N,) class, 0..n_classes-1."""
    n_classes: int


def choose_head(
    head: HeadName, solver: Solver, rows: int, dim: int, n_classes: int, fits: int
) -> HeadName | Literal["least-squares"]:
    """The head that will be trained; the same on every machine.

    Args:
        head: Asked for.
        solver: `fast` takes least squares in place of logistic regression, `auto` only where that
            would cost more than `EXACT_LIMIT`.
        rows: Trained on in a fit.
        dim: Features.
        n_classes: Classes.
        fits: Folds times repeats.
    """
    large = rows * dim * n_classes * fits > EXACT_LIMIT
    if head == "logistic" and (solver == "fast" or (solver == "auto" and large)):
        return "least-squares"
    return head


def sum_parts(tiles: TissueTiles, parts: npt.NDArray[np.integer]) -> list[Moments]:
    """Moments of each part, to be shared by all folds of a repeat that is judged by least squares.

    Args:
        tiles: All rows.
        parts: (N,) fold of each row.
    """
    return [
        sum_moments(tiles.embeddings[rows], tiles.labels[rows], tiles.n_classes)
        for rows in (np.flatnonzero(parts == part) for part in range(int(parts.max()) + 1))
    ]


def judge_fold(
    tiles: TissueTiles,
    parts: npt.NDArray[np.integer],
    fold: int,
    settings: HeadSettings,
    moments: Sequence[Moments] | None = None,
) -> Judged:
    """Train on all other folds, judge this one.

    Args:
        tiles: All rows.
        parts: (N,) fold of each row.
        fold: The one to judge.
        settings: Head and how it chooses.
        moments: Of each part, from `sum_parts`, for least squares; found here if left out.

    Returns:
        What is said of the rows of `fold`, in their order.
    """
    others = [part for part in range(int(parts.max()) + 1) if part != fold]
    ahead = [part for part in others if part > fold] + [part for part in others if part < fold]
    rows = np.flatnonzero(parts == fold)
    return _train_and_judge(tiles, parts, ahead, tiles.embeddings[rows], settings, moments)


def judge_others(
    tiles: TissueTiles,
    parts: npt.NDArray[np.integer],
    embeddings: npt.NDArray[np.floating],
    settings: HeadSettings,
) -> Judged:
    """Train on all rows, judge others, such as those of an external test set.

    Args:
        tiles: All rows to train on.
        parts: (N,) fold of each, to choose the penalty on.
        embeddings: (M, D) to judge.
        settings: Head and how it chooses.
    """
    everything = list(range(int(parts.max()) + 1))
    return _train_and_judge(tiles, parts, everything, embeddings, settings, None)


def _train_and_judge(
    tiles: TissueTiles,
    parts: npt.NDArray[np.integer],
    trained: Sequence[int],
    judged: npt.NDArray[np.floating],
    settings: HeadSettings,
    moments: Sequence[Moments] | None,
) -> Judged:
    choices = CHOICES[settings.head]
    if settings.head == "least-squares":
        sums = sum_parts(tiles, parts) if moments is None else moments
        score = _least_squares(tiles, sums)
    else:
        score = _standardised(tiles, parts, settings.head)
    held_out = trained[: settings.inner_parts] if len(trained) > 1 else []
    right = np.zeros(len(choices))
    for part in held_out:
        rows = np.flatnonzero(parts == part)
        rest = [other for other in trained if other != part]
        paths = score(rest, tiles.embeddings[rows], choices)
        right += [(s.argmax(1) == tiles.labels[rows]).sum() for s in paths]
    choice = choices[int(right.argmax())]  # of equals the most regular
    (scores,) = score(trained, judged, [choice])
    return Judged(scores.argmax(1).astype(np.int32), scores.max(1).astype(np.float32), choice)


_Score = Callable[
    [Sequence[int], npt.NDArray[np.floating], Sequence[float]], Iterable[npt.NDArray[np.float32]]
]
"""(parts to train on, embeddings to judge, choices) -> (M, K) scores for each choice."""


def _standardised(tiles: TissueTiles, parts: npt.NDArray[np.integer], head: HeadName) -> _Score:
    def score(
        trained: Sequence[int], judged: npt.NDArray[np.floating], choices: Sequence[float]
    ) -> Iterable[npt.NDArray[np.float32]]:
        rows = np.flatnonzero(np.isin(parts, trained))
        train, others = standardise(
            tiles.embeddings[rows].astype(np.float32), judged.astype(np.float32)
        )
        return HEADS[head](train, tiles.labels[rows], others, choices, tiles.n_classes)

    return score


def _least_squares(tiles: TissueTiles, moments: Sequence[Moments]) -> _Score:
    def score(
        trained: Sequence[int], judged: npt.NDArray[np.floating], choices: Sequence[float]
    ) -> Iterable[npt.NDArray[np.float32]]:
        total = add_moments([moments[part] for part in trained])
        return (solve_least_squares(total, choice).score(judged) for choice in choices)

    return score
