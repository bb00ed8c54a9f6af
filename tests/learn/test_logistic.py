from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from histo_ray.errors import ConfigError
from histo_ray.learn import kernel_logistic
from histo_ray.learn.fold_data import standardise_by
from histo_ray.learn.heads import patient_logistic
from histo_ray.learn.heads.patient_logistic import LOGISTIC_PENALTIES, predict_logistic, rank_auroc
from histo_ray.learn.inner_folds import Rows, draw_inner_folds
from histo_ray.learn.kernel_logistic import fit_logistic_path
from tests.learn.patient_data import make_features, make_fold, make_labels

WIDE, TALL = (45, 70), (70, 9)


@pytest.mark.parametrize(("shape", "limit"), [(WIDE, 0), (TALL, 200), (TALL, 0)])
def test_answers_are_those_of_a_grid_search(
    shape: tuple[int, int], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_logistic, "NEWTON_LIMIT", limit)
    trained, dim = shape
    features = make_features(trained + 40, dim)
    labels = make_labels(features, 2)
    fold = make_fold(features, labels, trained, LOGISTIC_PENALTIES[:5], inner_folds=3)
    answer = predict_logistic(fold)
    for column, mine in enumerate(answer.predicted.T):
        search = GridSearchCV(
            LogisticRegression(solver="newton-cholesky", tol=1e-8),
            {"C": [1 / (choice * dim) for choice in fold.choices]},
            scoring="roc_auc",
            cv=StratifiedKFold(3, shuffle=True, random_state=fold.seed),
        ).fit(fold.train, fold.targets[:, column])
        assert search.best_params_["C"] == pytest.approx(1 / (answer.choice[column] * dim))
        assert search.best_score_ == pytest.approx(answer.inner_score[column], abs=1e-3)
        plain = search.predict_proba(fold.test)[:, 1]
        np.testing.assert_allclose(mine, plain, atol=1e-4)
        truth = labels[trained:, column]
        assert abs(roc_auc_score(truth, plain) - roc_auc_score(truth, mine)) < 1e-3


@pytest.mark.parametrize("penalty", [1e4, 1.0, 1e-6])
def test_the_fit_is_at_the_minimum_even_where_classes_come_apart(penalty: float) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 45))
    labels = (x[:, 0] > 0.4).astype(float)
    gram = x @ x.T
    (fit,) = fit_logistic_path(gram, labels, [penalty])
    missed = labels - expit(gram @ fit.weights + fit.bias)
    np.testing.assert_allclose(penalty * fit.weights, missed, atol=1e-7)
    assert abs(missed.sum()) < 1e-6


def test_a_path_ends_where_its_last_penalty_alone_does() -> None:
    x, _ = standardise_by(make_features(40, 60), np.zeros((0, 60)))
    labels = make_labels(x, 1)[:, 0]
    path = fit_logistic_path(x @ x.T, labels, [1e3, 1e2, 1e-1])
    (alone,) = fit_logistic_path(x @ x.T, labels, [1e-1])
    np.testing.assert_allclose(path[-1].weights, alone.weights, atol=1e-5)
    assert path[-1].bias == pytest.approx(alone.bias, abs=1e-4)


@pytest.mark.parametrize("positives", [1, 2])
def test_few_positives_do_not_make_newton_run_away(positives: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, 300))
    gram, labels = x @ x.T, (np.arange(60) < positives).astype(float)
    for penalty in (1.0, 1e-2, 1e-4):  # the full step from a rare class's odds is far too long
        (fit,) = fit_logistic_path(gram, labels, [penalty])
        missed = labels - expit(gram @ fit.weights + fit.bias)
        np.testing.assert_allclose(penalty * fit.weights, missed, atol=1e-7)


@pytest.mark.parametrize("positives", [1, 8, 25])
def test_curvature_used_again_leads_to_the_same_minimum_by_fewer_factorisations(
    positives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = make_features(50, 80)
    gram, labels = features @ features.T, np.zeros(50)
    labels[:positives] = 1
    counts: list[int] = []
    factorise = kernel_logistic._factorise

    def count(*given: Any) -> Any:
        counts.append(1)
        return factorise(*given)

    monkeypatch.setattr(kernel_logistic, "_factorise", count)
    penalties = [penalty * 80 for penalty in LOGISTIC_PENALTIES]
    newton = fit_logistic_path(gram, labels, penalties)
    of_newton = len(counts)
    chord = fit_logistic_path(gram, labels, penalties, reuse=True)
    assert len(counts) - of_newton < 0.75 * of_newton
    for one, other in zip(newton, chord, strict=True):
        odds, again = (gram @ fit.weights + fit.bias for fit in (one, other))
        np.testing.assert_allclose(odds, again, atol=1e-6)


def test_a_fit_that_is_not_at_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_logistic, "MOST_STEPS", 1)
    x = make_features(40, 60)
    with pytest.warns(ConvergenceWarning, match="not at rest after 1 Newton steps"):
        fit_logistic_path(x @ x.T, make_labels(x, 1)[:, 0], [1e-3])


def test_auroc_counts_ties_half() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(41) < 0.3).astype(float)
    scores = np.column_stack([rng.normal(size=41), rng.integers(0, 4, 41), np.zeros(41)])
    expected = [roc_auc_score(labels, column) for column in scores.T]
    np.testing.assert_allclose(rank_auroc(labels, scores), expected)
    assert rank_auroc(labels, scores)[2] == 0.5


def test_a_target_with_one_class_to_train_on_is_refused_by_name() -> None:
    features = make_features(30, 50)
    labels = make_labels(features, 2)
    labels[:20, 1] = 0
    labels[:2, 0] = 0, 1
    with pytest.raises(ConfigError, match="target G1: all 20 patients of the training part are 0"):
        predict_logistic(make_fold(features, labels, 20, LOGISTIC_PENALTIES))


def test_values_are_refused_by_name() -> None:
    features = make_features(30, 50)
    labels = make_labels(features, 1) * 2
    with pytest.raises(ConfigError, match=r"target G0: value 2, but classes are .*expression"):
        predict_logistic(make_fold(features, labels, 20, LOGISTIC_PENALTIES))


def test_a_single_positive_leaves_nothing_to_choose_on() -> None:
    features = make_features(30, 50)
    labels = np.zeros(30)
    labels[3] = 1
    answer = predict_logistic(make_fold(features, labels[:, None], 20, (3.0, 0.1)))
    assert answer.choice[0] == 3.0
    assert np.isnan(answer.inner_score[0])
    assert np.isfinite(answer.predicted).all()


def test_inner_folds_without_both_classes_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_features(30, 50)
    labels = np.asarray(np.arange(30) % 2, np.float64)
    fold = make_fold(features, labels[:, None], 30, (1.0,))
    rows, ones = np.arange(30), np.flatnonzero(labels)
    good = (rows[:20], rows[20:])
    bad = [(np.setdiff1d(rows, ones), ones), (ones, np.setdiff1d(rows, ones))]  # as sites may be
    bad += [(rows[:20], ones[10:])]
    scores = []
    for drawn in ([good], [good, *bad], bad):
        monkeypatch.setattr(patient_logistic, "draw_inner_folds", lambda *_, drawn=drawn: drawn)
        scores.append(predict_logistic(fold).inner_score[0])
    assert scores[0] == scores[1]
    assert np.isnan(scores[2])


def test_few_positives_get_fewer_inner_folds() -> None:
    classes = np.array([1, 1, 1] + [0] * 27)
    folds = draw_inner_folds(30, 5, 0, classes=classes)
    assert [int(classes[held].sum()) for _, held in folds] == [1, 1, 1]
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(30))


@pytest.mark.parametrize("classes", [None, np.arange(40) % 3 // 2])
def test_inner_folds_keep_groups_whole(classes: Rows | None) -> None:
    groups = np.arange(40) // 3
    folds = draw_inner_folds(40, 4, 1, groups, classes)
    assert len(folds) == 4
    for rows, held in folds:
        assert not set(groups[rows]) & set(groups[held])
    again = draw_inner_folds(40, 4, 1, groups, classes)
    assert all((a[1] == b[1]).all() for a, b in zip(folds, again, strict=True))


def test_inner_folds_need_two_groups() -> None:
    assert draw_inner_folds(10, 5, 0, np.zeros(10, np.intp)) == []
