"""How well colour tells the tiles of a test part from those that were trained on. Pure."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PARTS = 5
"""Folds of the classifier's own cross-validation."""
MOST_TILES = 1000
"""Tiles of a class and part that are looked at."""
PENALTY = 1.0
"""C of the logistic regression on standardised features."""

Floats = npt.NDArray[np.floating]


def separate_parts(
    colours: Floats,
    labels: npt.NDArray[np.integer],
    in_test: npt.NDArray[np.bool_],
    n_classes: int,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Measure how well colour tells two parts of the tiles apart, within each class.

    A logistic regression on standardised features, predicted out of fold. One half where both parts
    look alike, as folds drawn at random do; near one where their slides differ in stain.

    Args:
        colours: (N, D) features.
        labels: (N,) class of each tile, below `n_classes`.
        in_test: (N,) which part each is in.
        n_classes: K.
        seed: Of the folds and of the tiles that are looked at.

    Returns:
        (K,) AUROC; nan for a class with fewer than `PARTS` tiles in a part.
    """
    found = np.full(n_classes, np.nan)
    for label in range(n_classes):
        rng = np.random.default_rng([seed, label])
        sides = [np.flatnonzero((labels == label) & (in_test == side)) for side in (False, True)]
        if min(map(len, sides)) < PARTS:
            continue
        rows = np.concatenate([np.sort(rng.permutation(side)[:MOST_TILES]) for side in sides])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))
        folds = StratifiedKFold(PARTS, shuffle=True, random_state=seed)
        scores = cross_val_predict(
            model, colours[rows], in_test[rows], cv=folds, method="decision_function"
        )
        found[label] = roc_auc_score(in_test[rows], scores)
    return found


def separate_folds(
    colours: Floats,
    labels: npt.NDArray[np.integer],
    fold_ids: npt.NDArray[np.integer],
    n_classes: int,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Measure how well colour tells each fold from the rest: the mean over folds, by class.

    Args:
        colours: (N, D) features.
        labels: (N,) class of each tile.
        fold_ids: (N,) fold of each tile, of one repeat.
        n_classes: K.
        seed: See `separate_parts`.

    Returns:
        (K,) mean AUROC over the folds that have enough tiles of a class; nan where none has.
    """
    by_fold = np.array(
        [
            separate_parts(colours, labels, fold_ids == fold, n_classes, seed)
            for fold in np.unique(fold_ids)
        ]
    )
    known = (~np.isnan(by_fold)).sum(axis=0)
    total = np.nansum(by_fold, axis=0)
    mean = np.full(n_classes, np.nan)
    np.divide(total, known, out=mean, where=known > 0)
    return mean
