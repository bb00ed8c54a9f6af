"""A linear probe whose settings never see the tiles that it is evaluated on, nor their slides.

Features are standardised, or each vector is brought to length 1 (L2); which, and how strongly
logistic regression is penalised, is chosen on groups of training tiles.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Groups = npt.NDArray[np.int64]
Split = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
FOLDS = 3


class ProbeSettings(NamedTuple):
    """Settings of a probe."""

    scaling: str
    """`standardised` or `L2`."""
    inverse_penalty: float
    """C of the regression."""


CANDIDATES = (
    *(ProbeSettings("standardised", c) for c in (0.001, 0.003, 0.01, 0.1)),
    *(ProbeSettings("L2", c) for c in (3.0, 10.0, 30.0, 100.0)),
)
"""All that are tried: C of vectors of length 1 stands for weaker penalties than it seems."""


def fit_probe(features: Floats, labels: Labels, settings: ProbeSettings) -> Any:
    """Multinomial logistic regression on scaled features."""
    scaler = StandardScaler() if settings.scaling == "standardised" else Normalizer()
    regression = LogisticRegression(C=settings.inverse_penalty, max_iter=1000, tol=1e-3)
    return make_pipeline(scaler, regression).fit(features, labels)


def split_groups(labels: Labels, groups: Groups, seed: int = 0) -> list[Split]:
    """Folds that keep groups together, and classes alike as far as groups allow."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return [(a, b) for a, b in folds.split(np.zeros(len(labels)), labels, groups)]


def score_probes(
    features: Floats,
    labels: Labels,
    splits: Sequence[Split],
    candidates: Sequence[ProbeSettings] = CANDIDATES,
) -> dict[ProbeSettings, float]:
    """Accuracy of each candidate over the held-out tiles of all splits together.

    Args:
        features: (N, dim).
        labels: (N,).
        splits: Rows to train on and rows held out, of other groups.
        candidates: Settings to try.
    """
    total = sum(len(held) for _, held in splits)
    scores = {}
    for settings in candidates:
        right = 0
        for train, held in splits:
            probe = fit_probe(features[train], labels[train], settings)
            right += int((probe.predict(features[held]) == labels[held]).sum())
        scores[settings] = right / total
    return scores


def best_of(scores: dict[ProbeSettings, float]) -> ProbeSettings:
    """The settings with the best score; of equals the first."""
    return max(scores, key=lambda settings: scores[settings])


def group_interval(
    values: npt.NDArray[np.float64], groups: Groups, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a mean over tiles; whole groups are drawn again.

    Args:
        values: (N,) one a tile, as 1 where it is classified right.
        groups: (N,) its group, from 0 on.
        resamples: Of the bootstrap.
        seed: Of the draws.
    """
    sums = np.bincount(groups, values)
    counts = np.bincount(groups).astype(np.float64)
    drawn = np.random.default_rng(seed).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), resamples
    )
    low, high = np.percentile((drawn @ sums) / (drawn @ counts), [2.5, 97.5])
    return float(low), float(high)
