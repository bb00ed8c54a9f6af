"""Approximate leave-one-out against fits that really lack the row."""

from dataclasses import replace

import numpy as np
import pytest

from histo_ray.learn.fold_data import FoldData, PenaltyBy
from histo_ray.learn.heads import patient_logistic
from histo_ray.learn.heads.patient_logistic import HEAD, predict_beyond_logistic, predict_logistic
from histo_ray.learn.kernel_logistic import fit_logistic_path
from histo_ray.learn.leave_one_out import invert_triangle, leave_one_out
from tests.learn.patient_data import make_features, make_fold, make_labels

PENALTIES = (1e1, 1.0, 1e-1)


@pytest.fixture
def fold() -> FoldData:
    features = make_features(70, 130)
    made = make_fold(features, make_labels(features, 2), 45, PENALTIES)
    return replace(made, penalty_by=PenaltyBy.ALO)


@pytest.mark.parametrize(("penalty", "share"), [(1e2, 0.01), (1e1, 0.02), (1.0, 0.04)])
@pytest.mark.parametrize("known", [False, True])
def test_log_odds_are_those_of_a_fit_without_the_row(
    penalty: float, share: float, known: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 90))
    labels = (x[:, 0] + rng.normal(size=60) > 0.6).astype(float)
    gram, offset = x @ x.T, known * rng.normal(size=60)
    (fit,) = fit_logistic_path(gram, labels, [penalty], offset)
    found = leave_one_out(gram, labels, fit, penalty, offset)
    exact, bias = np.empty(60), np.empty(60)
    for row in range(60):
        rest = np.arange(60) != row
        square = gram[np.ix_(rest, rest)]
        (other,) = fit_logistic_path(square, labels[rest], [penalty], offset[rest])
        exact[row] = gram[row, rest] @ other.weights + other.bias + offset[row]
        bias[row] = other.bias
    moved = np.abs(exact - (gram @ fit.weights + fit.bias + offset)).max()
    assert np.abs(found.odds - exact).max() < share * moved
    assert np.abs(found.bias_change - (bias - fit.bias)).max() < share * moved
    np.testing.assert_allclose(found.fixed_bias, found.odds - found.bias_change)


def test_a_triangle_is_inverted_whatever_its_size() -> None:
    rng = np.random.default_rng(0)
    for rows in (1, 100, 101, 263):
        upper = np.triu(rng.normal(size=(rows, rows)) / rows) + np.eye(rows)
        np.testing.assert_allclose(invert_triangle(upper) @ upper, np.eye(rows), atol=1e-12)


def test_rows_that_carry_no_signal_are_not_ranked_by_the_bias_they_leave() -> None:
    labels = np.repeat([0.0, 1.0], [20, 10])
    gram = 1e-6 * np.eye(30)
    (fit,) = fit_logistic_path(gram, labels, [1.0])
    found = leave_one_out(gram, labels, fit, 1.0)
    assert found.odds[labels == 1].max() < found.odds[labels == 0].min()
    assert np.ptp(found.fixed_bias) < 1e-4


def test_predictions_are_those_of_the_chosen_penalty_alone(fold: FoldData) -> None:
    found = predict_logistic(fold)
    scores = [predict_logistic(replace(fold, choices=(one,))).inner_score for one in PENALTIES]
    np.testing.assert_array_equal(found.inner_score, np.max(scores, axis=0))
    np.testing.assert_array_equal(found.choice, np.take(PENALTIES, np.argmax(scores, axis=0)))
    assert HEAD.fit is not None
    weights = HEAD.fit(fold)
    zero = np.zeros_like(fold.targets), np.zeros((len(fold.test), 2))
    beyond = predict_beyond_logistic(fold, *zero)
    for column, choice in enumerate(found.choice):
        alone = predict_logistic(
            replace(fold, choices=(float(choice),), penalty_by=PenaltyBy.INNER_FOLDS)
        )
        np.testing.assert_allclose(
            found.predicted[:, column], alone.predicted[:, column], atol=1e-5
        )
    np.testing.assert_array_equal(weights.choice, found.choice)
    np.testing.assert_array_equal(beyond.choice, found.choice)
    odds = fold.test @ weights.weights + weights.bias
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), found.predicted, atol=1e-12)
    np.testing.assert_allclose(beyond.predicted, odds, atol=1e-8)


def test_more_rows_than_features_are_left_out_too() -> None:
    features = make_features(90, 7)
    made = make_fold(features, make_labels(features, 1), 60, PENALTIES)
    found = predict_logistic(replace(made, penalty_by=PenaltyBy.ALO))
    choice = (float(found.choice[0]),)
    alone = predict_logistic(replace(made, choices=choice))
    np.testing.assert_allclose(found.predicted, alone.predicted, atol=1e-4)


@pytest.mark.parametrize("kept", ["groups", "rivals"])
def test_inner_folds_are_kept_where_groups_stay_together_or_heads_compete(
    fold: FoldData, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = np.arange(45) // 3
    changed = (
        replace(fold, groups=groups) if kept == "groups" else replace(fold, leave_one_out=False)
    )
    monkeypatch.setattr(patient_logistic, "leave_one_out", None)
    found = predict_logistic(changed)
    plain = predict_logistic(replace(changed, penalty_by=PenaltyBy.INNER_FOLDS))
    np.testing.assert_array_equal(found.predicted, plain.predicted)
