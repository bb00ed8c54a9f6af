import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from histo_ray.report.roc import GRID, mean_roc


def test_the_area_below_the_mean_curve_is_the_mean_area() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(rng.random(180) < 0.3, 4).astype(float)
    repeat = np.repeat(np.arange(4), 180)
    predicted = truth * rng.normal(1, 0.4, 720) + rng.normal(0, 1 + repeat)  # repeats differ
    areas = [roc_auc_score(truth[repeat == r], predicted[repeat == r]) for r in range(4)]
    area = np.trapezoid(mean_roc(truth, predicted, repeat), GRID)
    assert area == pytest.approx(np.mean(areas), abs=0.01)
    pooled = roc_auc_score(truth, predicted)
    assert abs(pooled - area) > 0.01  # so that pooling the repeats would have been seen


def test_a_perfect_and_an_inverted_prediction_take_the_corners() -> None:
    truth = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    perfect = mean_roc(truth, truth, np.zeros(5))
    assert perfect[0] == 0
    assert (perfect[1:] == 1).all()
    inverted = mean_roc(truth, -truth, np.zeros(5))
    assert (inverted[:-1] == 0).all()
    assert inverted[-1] == 1


def test_missing_predictions_and_repeats_of_one_class_are_left_out() -> None:
    truth = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    predicted = np.array([0.1, 0.9, 0.2, 0.3, np.nan])
    repeat = np.array([0, 0, 1, 1, 1])
    assert (mean_roc(truth, predicted, repeat)[1:] == 1).all()
    assert np.isnan(mean_roc(truth[2:4], predicted[2:4], repeat[2:4])).all()
    assert np.isnan(mean_roc([], [], [])).all()
