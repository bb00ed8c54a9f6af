"""Cox proportional hazards with a ridge penalty, for several endpoints one by one. Pure.

A prediction is the log of the hazard over that of the training part's mean patient: higher means
earlier. The penalty is chosen by cross-validated partial likelihood on inner folds: Verweij and van
Houwelingen 1993, Stat Med 12:2305, doi 10.1002/sim.4780122407; 1994, Stat Med 13:2427 (ridge). It
sees how large risks are and not only their order, so it is smoother than a C-index, in which inner
folds of few events tie.
"""

from collections.abc import Sequence

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.learn.cox_fit import fit_cox_path, list_risk_sets, score_partial
from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.heads.linear_fit import HeadWeights, Link
from histo_ray.learn.heads.ridge import decompose_features
from histo_ray.learn.inner_folds import Rows, draw_inner_folds

COX_PENALTIES = (1e2, 3e1, 1e1, 3.0, 1.0, 3e-1, 1e-1, 3e-2)
"""Times the number of features D, strongest first; scikit-survival's alpha is penalty * D."""


def predict_cox(fold: FoldData) -> FoldPrediction:
    """Penalty of each endpoint by held-out partial likelihood, then predict log-hazards.

    `inner_score` is 1 - L / L0: L the cross-validated log partial likelihood, L0 that of equal
    hazards. Where two inner folds with events cannot be had, the first penalty is taken, score nan.

    Args:
        fold: `choices` are penalties, times the number of features; `targets` signed times.

    Raises:
        ConfigError: An endpoint without an event in the training part.
    """
    found = _train(fold)
    return FoldPrediction(fold.test @ found.weights, found.choice, found.inner_score)


def fit_cox(fold: FoldData) -> HeadWeights:
    """Train as `predict_cox` does, and return the weights."""
    return _train(fold)


def _train(fold: FoldData) -> HeadWeights:
    (_, dim), count = fold.train.shape, fold.targets.shape[1]
    penalties = [choice * dim for choice in fold.choices]
    found = HeadWeights(np.empty((dim, count)), *(np.zeros(count) for _ in range(3)))
    axes, coords = _find_axes(fold.train)
    for column, signed in enumerate(fold.targets.T):
        _check_events(fold.names[column], signed)
        scores = _score_penalties(fold, coords, signed, penalties)
        best = int(np.nan_to_num(scores, nan=-np.inf).argmax())
        (fit,) = fit_cox_path(signed, coords, [penalties[best]])
        found.weights[:, column] = axes @ fit.weights
        found.choice[column], found.inner_score[column] = fold.choices[best], scores[best]
    return found


def _check_events(name: str, signed: Floats) -> None:
    if not (signed > 0).any():
        raise ConfigError(
            f"endpoint {name}: none of the {len(signed)} patients of a training part has an event, "
            "so there is nothing to learn from; use fewer folds or leave the endpoint out"
        )


def _find_axes(train: Floats) -> tuple[Floats, Floats]:
    """Axes (D, r) that span the rows, and (n, r) coordinates of the rows on them."""
    spectrum = decompose_features(train, np.empty((0, train.shape[1])))
    kept = spectrum.values > 1e-12 * max(float(spectrum.values.max(initial=0.0)), 1e-300)
    lengths = np.sqrt(spectrum.values[kept])
    basis = spectrum.basis[:, kept]
    return train.T @ (basis / lengths), basis * lengths


def _score_penalties(
    fold: FoldData, coords: Floats, signed: Floats, penalties: Sequence[float]
) -> Floats:
    """Share of the null model's log partial likelihood that each penalty saves, (A,).

    Args:
        fold: Inner folds are drawn of it.
        coords: (n, r) coordinates of its rows, whose products are those of the features.
        signed: (n,) signed times.
        penalties: A of them.
    """
    folds = _usable_folds(fold, signed) if len(penalties) > 1 else []
    if not folds:
        return np.full(len(penalties), np.nan)
    everyone = list_risk_sets(signed)
    held_out, null = np.zeros(len(penalties)), 0.0
    nothing = np.zeros(len(signed))
    for rows, _ in folds:
        axes, own_coords = _find_axes(coords[rows])
        trained = list_risk_sets(signed[rows])
        null += score_partial(everyone, nothing) - score_partial(trained, nothing[rows])
        every = coords @ axes
        for at, fit in enumerate(fit_cox_path(signed[rows], own_coords, penalties)):
            own = score_partial(trained, fit.log_hazard)
            held_out[at] += score_partial(everyone, every @ fit.weights) - own
    return 1 - held_out / null if null < 0 else np.full(len(penalties), np.nan)


def _usable_folds(fold: FoldData, signed: Floats) -> list[tuple[Rows, Rows]]:
    """Inner folds, stratified by event, whose training side has one."""
    events = (signed > 0).astype(np.intp)
    by = events if len(np.unique(events)) > 1 else None
    drawn = draw_inner_folds(len(signed), fold.inner_folds, fold.seed, fold.groups, by)
    return [pair for pair in drawn if events[pair[0]].any()]


HEAD = PatientHead(
    predict_cox,
    COX_PENALTIES,
    "penalty, times the number of features; scikit-survival's alpha is the product",
    fit_cox,
    Link.IDENTITY,
)
