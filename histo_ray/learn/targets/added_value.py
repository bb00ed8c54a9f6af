"""Images beyond covariates: a head on images with the covariates' prediction as an offset. Pure.

Inside a training part a head on covariates is cross-fitted on inner folds, so that each patient has
a prediction by covariates of a head that did not see the patient. Images, less what covariates
predict of their features, are then trained on what is left of the label: for numbers on the
residual, for classes with those log-odds as a fixed offset. What covariates and images share is
thus given to the covariates, and only what images add is left to them, with a penalty of their own.
Boulesteix and Hothorn 2010, BMC Bioinformatics 11:78; De Bin, Sauerbrei and Boulesteix 2014, Stat
Med 33:5310 (offset, "residuals" strategy).
"""

from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import Floats, FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.inner_folds import Rows, draw_inner_folds

SUREST = 1e-6
"""Probability by covariates below which, or above one minus which, no offset goes."""

_FEWEST = 2
"""Fewest inner folds that a head takes; nothing is chosen by them, as there is one choice."""


def take_out_covariates(
    train: Floats, test: Floats, known: Floats, test_known: Floats
) -> tuple[Floats, Floats]:
    """Take out of features what covariates predict of them, by least squares on the training part.

    What is left of labels is then trained on what is left of features, as in a joint least-squares
    fit with unpenalised covariates (Frisch and Waugh 1933, Econometrica 1:387; Lovell 1963, J Am
    Stat Assoc 58:993).

    Args:
        train: (n, D) features.
        test: (m, D).
        known: (n, C) standardised covariates of the training part.
        test_known: (m, C).
    """
    design = np.concatenate([np.ones((len(known), 1)), known], axis=1)
    slopes = np.linalg.lstsq(design, train, rcond=None)[0][1:]
    return train - known @ slopes, test - test_known @ slopes


def predict_added(
    images: FoldData, covariates: FoldData, head: PatientHead, covariate_head: PatientHead
) -> FoldPrediction:
    """Predict the test part by covariates and images.

    Args:
        images: Features, labels, groups and inner folds of the training part.
        covariates: The same of the same rows, with columns of covariates in place of features.
        head: On images.
        covariate_head: On covariates.

    Returns:
        Predictions; choice and inner score are those of the images' part.

    Raises:
        ConfigError: A head of classes that takes no offset.
    """
    count = len(covariates.train)
    everyone = np.concatenate([covariates.train, covariates.test])
    whole = covariate_head.predict(replace(covariates, test=everyone))
    known = whole.predicted[count:]
    offset = cross_fit(
        covariates, covariate_head, whole._replace(predicted=whole.predicted[:count])
    )
    if covariate_head.link is Link.IDENTITY:
        found = head.predict(replace(images, targets=images.targets - offset))
        return found._replace(predicted=found.predicted + known)
    if head.predict_beyond is None:
        raise ConfigError(
            "this head of classes takes no offset, so what it adds to covariates cannot be told; "
            "use --head logistic"
        )
    found = head.predict_beyond(images, _log_odds(offset), _log_odds(known))
    return found._replace(predicted=expit(found.predicted))


def cross_fit(fold: FoldData, head: PatientHead, whole: FoldPrediction) -> Floats:
    """Predict each row of a training part by a head that was trained on the other inner folds.

    Classes are split by each target's own labels, with the penalty that the whole training part
    chose.

    Args:
        fold: Training part; the inner folds are those of its seed, count and groups.
        head: Trained on each of them.
        whole: What a head of the whole training part says of it.

    Returns:
        (n, T). Rows of an inner fold whose others lack a class, or all rows where no two inner
        folds can be had, are predicted as `whole` says.
    """
    if head.link is Link.IDENTITY:
        return _cross_fit(fold, fold, head, whole.predicted)
    columns = []
    for at, labels in enumerate(fold.targets.T):
        own = replace(fold, targets=fold.targets[:, [at]], names=(fold.names[at],))
        fixed = replace(own, choices=(float(whole.choice[at]),), inner_folds=_FEWEST)
        classes = labels.astype(np.intp)
        columns.append(_cross_fit(own, fixed, head, whole.predicted[:, [at]], classes))
    return np.concatenate(columns, axis=1)


def _cross_fit(
    fold: FoldData,
    trained: FoldData,
    head: PatientHead,
    whole: Floats,
    classes: Rows | None = None,
) -> Floats:
    found = whole.copy()
    for rows, held in draw_inner_folds(
        len(fold.train), fold.inner_folds, fold.seed, fold.groups, classes
    ):
        if classes is not None and len(np.unique(classes[rows])) < 2:
            continue
        part = replace(
            trained,
            train=fold.train[rows],
            targets=fold.targets[rows],
            test=fold.train[held],
            groups=None if fold.groups is None else fold.groups[rows],
        )
        found[held] = head.predict(part).predicted
    return found


def _log_odds(probabilities: Floats) -> Floats:
    return np.asarray(logit(np.clip(probabilities, SUREST, 1 - SUREST)))
