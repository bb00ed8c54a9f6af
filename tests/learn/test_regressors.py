from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import ElasticNetCV
from sklearn.model_selection import KFold

from histo_ray.errors import ConfigError
from histo_ray.learn.fold_data import FoldData, FoldPrediction
from histo_ray.learn.heads.elastic_net import predict_elastic_net
from histo_ray.learn.heads.pls import predict_pls
from tests.learn.patient_data import make_features, make_fold, make_values

WIDE, TALL = (40, 75), (90, 14)


@pytest.mark.parametrize(("trained", "dim"), [WIDE, TALL])
def test_pls_is_that_of_scikit_learn_for_every_number_of_components(trained: int, dim: int) -> None:
    features = make_features(trained + 11, dim)
    targets = make_values(features, 6)
    for components in (1, 2, 5):
        fold = make_fold(features, targets, trained, (float(components),))
        sd = fold.targets.std(0)
        plain = PLSRegression(components, scale=False, max_iter=5000).fit(
            fold.train, fold.targets / sd
        )
        answer = predict_pls(fold)
        np.testing.assert_allclose(answer.predicted, plain.predict(fold.test) * sd, atol=1e-5)
        assert (answer.choice == components).all()


def test_pls_chooses_by_the_error_of_inner_folds() -> None:
    features = make_features(80, 30)
    fold = make_fold(features, make_values(features, 5), 60, (1.0, 2.0, 4.0))
    answer = predict_pls(fold)
    y = (fold.targets - fold.targets.mean(0)) / fold.targets.std(0)
    errors = np.zeros((3, 5))
    for rows, held in KFold(5, shuffle=True, random_state=fold.seed).split(y):
        for at, components in enumerate((1, 2, 4)):
            plain = PLSRegression(components, scale=False).fit(fold.train[rows], y[rows])
            errors[at] += ((plain.predict(fold.train[held]) - y[held]) ** 2).sum(0)
    assert answer.choice.tolist() == np.array([1.0, 2.0, 4.0])[errors.argmin(0)].tolist()
    np.testing.assert_allclose(answer.inner_score, 1 - errors.min(0) / 60, atol=1e-4)
    assert len(set(answer.choice.tolist())) > 1


def test_elastic_net_is_that_of_scikit_learn() -> None:
    features = make_features(70, 25)
    fold = make_fold(features, make_values(features, 2), 55, (1.0, 0.3, 0.1))
    answer = predict_elastic_net(fold)
    for column, values in enumerate(fold.targets.T):
        strongest = np.abs(fold.train.T @ (values - values.mean())).max() / 55 / 0.5
        plain = ElasticNetCV(
            l1_ratio=0.5,
            alphas=np.array(fold.choices) * strongest,
            cv=KFold(5, shuffle=True, random_state=fold.seed),
        ).fit(fold.train, values)
        np.testing.assert_allclose(answer.choice[column] * strongest, plain.alpha_)
        np.testing.assert_allclose(answer.predicted[:, column], plain.predict(fold.test))
        r2 = 1 - plain.mse_path_.mean(1).min() / values.var()  # folds are all of 11
        assert answer.inner_score[column] == pytest.approx(r2)


Judge = Callable[[FoldData], FoldPrediction]
HEADS = [predict_pls, predict_elastic_net]


@pytest.mark.parametrize("predict", HEADS)
@pytest.mark.parametrize("constant", [[1], [0, 1, 2]])
def test_a_target_without_variance_is_predicted_as_it_is(
    predict: Judge, constant: list[int]
) -> None:
    features = make_features(40, 20)
    targets = make_values(features, 3)
    targets[:31, constant] = -0.1
    answer = predict(
        make_fold(features, targets, 31, (1.0, 2.0) if predict is predict_pls else (0.5,))
    )
    np.testing.assert_allclose(answer.predicted[:, constant], -0.1)
    assert np.flatnonzero(np.isnan(answer.inner_score)).tolist() == constant


@pytest.mark.parametrize("predict", HEADS)
def test_one_group_cannot_be_chosen_on(predict: Judge) -> None:
    features = make_features(40, 20)
    fold = make_fold(features, make_values(features, 2), 31, (1.0,))
    fold = replace(fold, groups=np.zeros(31, np.intp))
    with pytest.raises(ConfigError, match="all 31 patients are of one group"):
        predict(fold)


def test_more_components_than_there_is_room_for_are_left_out() -> None:
    features = make_features(20, 9)
    targets = make_values(features, 2)
    answer = predict_pls(make_fold(features, targets, 15, (2.0, 50.0)))
    assert (answer.choice == 2).all()
    with pytest.raises(ConfigError, match=r"allows at most 9 components"):
        predict_pls(make_fold(features, targets, 15, (50.0,)))
