import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from histo_ray.learn.heads import ridge
from histo_ray.learn.heads.ridge import (
    RIDGE_PENALTIES,
    decompose_features,
    leave_one_out_errors,
    predict_ridge,
)
from tests.learn.patient_data import make_features, make_fold, make_values

WIDE, TALL, SQUARE = (50, 90), (120, 17), (60, 60)


@pytest.mark.parametrize(("trained", "dim"), [WIDE, TALL, SQUARE])
def test_answers_are_those_of_ridgecv(trained: int, dim: int) -> None:
    features = make_features(trained + 13, dim)
    targets = make_values(features, 40)
    fold = make_fold(features, targets, trained, RIDGE_PENALTIES)
    answer = predict_ridge(fold)
    plain = RidgeCV(np.array(RIDGE_PENALTIES) * dim, alpha_per_target=True)
    plain.fit(fold.train, fold.targets)
    np.testing.assert_allclose(answer.choice * dim, plain.alpha_)
    np.testing.assert_allclose(answer.predicted, plain.predict(fold.test), atol=1e-9)
    variance = fold.targets.var(0)
    np.testing.assert_allclose(answer.inner_score, 1 + plain.best_score_ / variance, atol=1e-9)
    assert len(np.unique(answer.choice)) > 3


@pytest.mark.parametrize(("rows", "dim"), [(11, 25), (25, 4)])
def test_leave_one_out_is_what_it_says(rows: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, dim)), rng.normal(size=(rows, 3))
    x -= x.mean(0)
    errors = leave_one_out_errors(
        decompose_features(x, x[:2]), y - y.mean(0), np.array([0.3, 20.0])
    )
    for row, penalty in enumerate([0.3, 20.0]):
        slow = np.zeros(3)
        for out in range(rows):
            rest = np.arange(rows) != out
            slow += (Ridge(alpha=penalty).fit(x[rest], y[rest]).predict(x[[out]])[0] - y[out]) ** 2
        np.testing.assert_allclose(errors[row], slow, rtol=1e-9)


def test_blocks_of_targets_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features(40, 70)
    fold = make_fold(features, make_values(features, 23), 31, RIDGE_PENALTIES)
    whole = predict_ridge(fold)
    monkeypatch.setattr(ridge, "BLOCK", 7)
    for one, other in zip(predict_ridge(fold), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_a_target_without_variance_is_predicted_as_it_is() -> None:
    features = make_features(40, 70)
    targets = make_values(features, 3)
    targets[:31, 1] = 0.1
    answer = predict_ridge(make_fold(features, targets, 31, RIDGE_PENALTIES))
    np.testing.assert_allclose(answer.predicted[:, 1], 0.1)
    assert answer.choice[1] == RIDGE_PENALTIES[0]
    assert np.isnan(answer.inner_score).tolist() == [False, True, False]


def test_noise_takes_a_strong_penalty_and_signal_a_weak_one() -> None:
    features = make_features(150, 30)
    noise = np.random.default_rng(4).normal(size=(150, 40))
    targets = np.column_stack([noise, make_values(features, 80)[:, 40:]])
    answer = predict_ridge(make_fold(features, targets, 120, RIDGE_PENALTIES))
    assert np.median(answer.choice[:40]) > 100 > 1 > np.median(answer.choice[40:])
    assert np.median(answer.inner_score[:40]) < 0.02
    assert answer.inner_score[40:].min() > 0.5


def test_duplicated_patients_do_no_harm_to_a_weak_penalty() -> None:
    features = np.repeat(make_features(20, 45), 2, axis=0)  # the Gram matrix has half the rank
    targets = make_values(features, 5)
    fold = make_fold(features, targets, 34, (1.0, 1e-6))
    plain = RidgeCV(np.array(fold.choices) * 45, alpha_per_target=True, gcv_mode="svd")
    plain.fit(fold.train, fold.targets)
    answer = predict_ridge(fold)
    np.testing.assert_allclose(answer.choice * 45, plain.alpha_)
    np.testing.assert_allclose(answer.predicted, plain.predict(fold.test), atol=1e-6)


def test_duplicated_features_of_many_patients_are_no_harm() -> None:
    features = np.tile(make_features(90, 12), 3)
    fold = make_fold(features, make_values(features, 5), 80, (1.0, 1e-4, 1e-7))
    plain = RidgeCV(np.array(fold.choices) * 36, alpha_per_target=True)
    plain.fit(fold.train, fold.targets)
    answer = predict_ridge(fold)
    np.testing.assert_allclose(answer.choice * 36, plain.alpha_)
    np.testing.assert_allclose(answer.predicted, plain.predict(fold.test), atol=1e-6)
