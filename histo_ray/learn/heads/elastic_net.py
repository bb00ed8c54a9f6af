"""Elastic net of each target on its own, from scikit-learn. Pure."""

import numpy as np
from sklearn.linear_model import ElasticNetCV

from histo_ray.learn.fold_data import FoldData, FoldPrediction
from histo_ray.learn.heads.base import PatientHead
from histo_ray.learn.inner_folds import draw_regression_folds

ELASTIC_NET_PENALTIES = tuple(np.logspace(0, -1.5, 10).tolist())
"""Times the smallest penalty that leaves no feature in; strongest first."""
L1_SHARE = 0.5
"""Share of the L1 penalty: scikit-learn's l1_ratio."""


def predict_elastic_net(fold: FoldData) -> FoldPrediction:
    """Elastic net of each target on its own, penalty by inner folds: scikit-learn's ElasticNetCV.

    Zou and Hastie 2005, J R Stat Soc B 67:301. Costs seconds a target and fold with 2,048 features:
    for tens of genes rather than thousands.

    Args:
        fold: `choices` are penalties, as a share of the smallest that leaves no feature in.

    Raises:
        ConfigError: No two inner folds can be had.
    """
    train, count = fold.train, fold.targets.shape[1]
    folds = draw_regression_folds(fold)
    sizes = [len(held) for _, held in folds]
    prediction = FoldPrediction(np.empty((len(fold.test), count)), np.empty(count), np.empty(count))
    for column, values in enumerate(fold.targets.T):
        strongest = np.abs(train.T @ (values - values.mean())).max() / (len(values) * L1_SHARE)
        if np.ptp(values) == 0 or strongest == 0:
            prediction.predicted[:, column] = values.mean()
            prediction.choice[column], prediction.inner_score[column] = fold.choices[0], np.nan
            continue
        penalties = np.array(fold.choices) * strongest
        model = ElasticNetCV(l1_ratio=L1_SHARE, alphas=penalties, cv=folds, max_iter=20_000)
        model.fit(train, values)
        at = int(np.abs(penalties - model.alpha_).argmin())
        path = np.atleast_2d(model.mse_path_)[np.flatnonzero(model.alphas_ == model.alpha_)[0]]
        prediction.predicted[:, column] = model.predict(fold.test)
        prediction.choice[column] = fold.choices[at]
        prediction.inner_score[column] = 1 - path @ sizes / ((values - values.mean()) ** 2).sum()
    return prediction


HEAD = PatientHead(
    predict_elastic_net,
    ELASTIC_NET_PENALTIES,
    "penalty, as a share of the smallest that leaves no feature in",
)
