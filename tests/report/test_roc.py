import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from histo_ray.report.charts.roc import MOST_RATES, mean_roc


def test_the_area_below_the_mean_curve_is_the_mean_area_of_the_folds() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(rng.random(183) < 0.3, 4).astype(float)
    repeat, fold = np.repeat(np.arange(4), 183), np.tile(np.arange(183) % 5, 4)
    shift = rng.normal(0, 3, (4, 5))[repeat, fold]  # heads of folds are not on one scale
    predicted = np.round(truth * rng.normal(1, 0.4, 732) + rng.normal(size=732), 1) + shift  # ties
    parts = [(repeat == r) & (fold == f) for r in range(4) for f in range(5)]
    areas = [roc_auc_score(truth[part], predicted[part]) for part in parts]
    curve = mean_roc(truth, predicted, repeat, fold)
    assert curve is not None
    assert curve.area == pytest.approx(np.mean(areas), abs=1e-12)
    assert (np.diff(curve.false) >= 0).all()
    assert (np.diff(curve.true) >= -1e-12).all()
    assert abs(roc_auc_score(truth, predicted) - curve.area) > 0.05  # pooling would be seen


def test_many_rates_are_thinned_without_a_change_that_is_seen() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random(9000) < 0.5).astype(float)
    predicted, fold = truth + rng.normal(size=9000), np.arange(9000) % 3
    curve = mean_roc(truth, predicted, np.zeros(9000), fold)
    assert curve is not None
    assert len(curve.false) == 2 * MOST_RATES
    areas = [roc_auc_score(truth[fold == f], predicted[fold == f]) for f in range(3)]
    assert curve.area == pytest.approx(np.mean(areas), abs=5e-4)


def test_a_perfect_and_an_inverted_prediction_take_the_corners() -> None:
    truth, whole = np.array([0.0, 0.0, 0.0, 1.0, 1.0]), np.zeros(5)
    perfect = mean_roc(truth, truth, whole, whole)
    assert perfect is not None
    assert (perfect.false[0], perfect.true[0], perfect.true[1]) == (0, 0, 1)
    assert perfect.area == 1
    inverted = mean_roc(truth, -truth, whole, whole)
    assert inverted is not None
    assert (inverted.false[-1], inverted.true[-2], inverted.true[-1]) == (1, 0, 1)
    assert inverted.area == 0


def test_missing_predictions_and_folds_of_one_class_are_left_out() -> None:
    truth = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    predicted = np.array([0.1, 0.9, 0.2, 0.3, np.nan])
    fold = np.array([0, 0, 1, 1, 1])
    curve = mean_roc(truth, predicted, np.zeros(5), fold)
    assert curve is not None
    assert curve.area == 1
    assert mean_roc(truth[2:4], predicted[2:4], np.zeros(2), fold[2:4]) is None
    assert mean_roc([], [], [], []) is None
