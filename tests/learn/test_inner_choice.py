"""All heads of a choice are scored on the same inner folds, with the same groups."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from histo_ray.evaluate.patients.bag_units import share_folds
from histo_ray.learn import inner_folds
from histo_ray.learn.fold_data import FoldData, PatientHeadSettings
from histo_ray.learn.heads import elastic_net, patient_logistic, pls, ridge
from histo_ray.learn.heads.ridge import fit_ridge, predict_ridge
from histo_ray.learn.mil import stop_bags
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.stop_bags import split_rows
from histo_ray.learn.patient_heads import predict_patient_fold
from histo_ray.types import TargetKind
from tests.learn.patient_data import make_data, make_features, make_fold, make_labels, make_values

GROUPS = [f"site {number % 9}" for number in range(72)]
FOLD_IDS = np.arange(72) % 9 // 3
Split = tuple[tuple[int, ...], tuple[int, ...]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[Split]]:
    """Inner folds that heads draw, in order."""
    seen: list[list[Split]] = []
    plain = inner_folds.draw_inner_folds

    def draw(*args: object, **kwargs: object) -> list[tuple[np.ndarray, np.ndarray]]:
        folds = plain(*args, **kwargs)  # type: ignore[arg-type]
        seen.append([(tuple(rows.tolist()), tuple(held.tolist())) for rows, held in folds])
        return folds

    for module in (inner_folds, ridge, patient_logistic, stop_bags):
        monkeypatch.setattr(module, "draw_inner_folds", draw)
    for module in (elastic_net, pls):  # theirs is called through the module that is patched
        assert module.draw_regression_folds is inner_folds.draw_regression_folds
    return seen


def test_heads_that_compete_see_the_same_inner_folds_and_no_group_is_split(
    drawn: list[list[Split]],
) -> None:
    features = make_features(72, 20)
    data = make_data(features, make_values(features, 2), GROUPS)
    for head, choices in (("ridge", ()), ("pls", ()), ("elastic-net", (1.0, 0.3))):
        settings = PatientHeadSettings(head, choices, leave_one_out=False)
        predict_patient_fold(data, FOLD_IDS, 1, settings, (3, 0))
    assert len(drawn) == 3
    assert drawn[0] == drawn[1] == drawn[2]
    trained = [group for group, fold in zip(GROUPS, FOLD_IDS, strict=True) if fold != 1]
    assert len(drawn[0]) == 5
    for rows, held in drawn[0]:
        assert not {trained[row] for row in rows} & {trained[row] for row in held}


@pytest.mark.parametrize("groups", [GROUPS, [str(number) for number in range(72)]])
def test_attention_heads_stop_on_the_inner_folds_of_logistic_regression(
    drawn: list[list[Split]], groups: list[str]
) -> None:
    features = make_features(72, 20)
    alone = len(set(groups)) == len(groups)
    data = make_data(features, make_labels(features, 1), None if alone else groups)
    predict_patient_fold(data, FOLD_IDS, 1, PatientHeadSettings("logistic"), (3, 2))
    trained = FOLD_IDS != 1
    splits = split_rows(
        data.targets[trained],
        find_kind(TargetKind.BINARY),
        MilSettings(members=3, stop_share=0.5 / 2),
        99,
        np.unique(np.array(groups)[trained], return_inverse=True)[1],
        share_folds(3, 2, 1, 5),
    )
    told = [(tuple(one.train.tolist()), tuple(one.stop.tolist())) for one in splits]
    assert told == drawn[0][:3]
    assert share_folds(3, 2, 1, 0) is None


def test_logistic_folds_keep_groups_too(drawn: list[list[Split]]) -> None:
    features = make_features(72, 20)
    data = make_data(features, make_labels(features, 1), GROUPS)
    predict_patient_fold(data, FOLD_IDS, 1, PatientHeadSettings("logistic"), (3, 0))
    trained = [group for group, fold in zip(GROUPS, FOLD_IDS, strict=True) if fold != 1]
    for rows, held in drawn[0]:
        assert not {trained[row] for row in rows} & {trained[row] for row in held}


@pytest.mark.parametrize("dim", [15, 130])
def test_ridge_chooses_as_a_grid_search_over_the_same_folds(dim: int) -> None:
    features = make_features(90, dim)
    fold = _grouped(make_fold(features, make_values(features, 3), 60, (10.0, 1.0, 0.1, 0.01)))
    found = predict_ridge(fold)
    splits = inner_folds.draw_inner_folds(60, 5, fold.seed, fold.groups)
    assert splits
    for column, values in enumerate(fold.targets.T):
        grid = {"alpha": [choice * dim for choice in fold.choices]}
        score = "neg_mean_squared_error"
        search = GridSearchCV(Ridge(), grid, cv=splits, scoring=score).fit(fold.train, values)
        sizes = np.array([len(held) for _, held in splits])
        each = [search.cv_results_[f"split{k}_test_score"] for k in range(len(splits))]
        errors = -sizes @ np.array(each)
        best = int(errors.argmin())
        assert found.choice[column] == fold.choices[best]
        share = 1 - errors[best] / ((values - values.mean()) ** 2).sum()
        np.testing.assert_allclose(found.inner_score[column], share, rtol=1e-8)
        plain = Ridge(alpha=fold.choices[best] * dim).fit(fold.train, values)
        np.testing.assert_allclose(found.predicted[:, column], plain.predict(fold.test), rtol=1e-6)
    kept = fit_ridge(fold)
    np.testing.assert_array_equal(kept.choice, found.choice)
    np.testing.assert_allclose(fold.test @ kept.weights + kept.bias, found.predicted)


def test_ridge_alone_still_leaves_out_one_patient(drawn: list[list[Split]]) -> None:
    features = make_features(40, 10)
    predict_ridge(make_fold(features, make_values(features, 2), 30, (1.0, 0.1)))
    assert not drawn


def test_ridge_of_one_group_falls_back_to_one_patient_at_a_time() -> None:
    features = make_features(40, 10)
    fold = make_fold(features, make_values(features, 2), 30, (1.0, 0.1))
    grouped = replace(fold, groups=np.zeros(30, np.intp), leave_one_out=False)
    np.testing.assert_array_equal(predict_ridge(grouped).choice, predict_ridge(fold).choice)


def test_sites_that_foretell_numbers_mislead_a_choice_that_splits_them() -> None:
    """With site effects, leaving out one patient picks too weak a penalty and too high a score."""
    rng = np.random.default_rng(5)
    site = np.arange(80) % 8
    look, level = rng.normal(size=(8, 12)) * 2, rng.normal(size=8)
    features = look[site] + 0.3 * rng.normal(size=(80, 12))
    values = level[site, None] + 0.1 * rng.normal(size=(80, 1))
    alone = make_fold(features, values, 64, ridge.RIDGE_PENALTIES)
    shared = replace(alone, groups=site[:64].astype(np.intp), leave_one_out=False)
    assert predict_ridge(alone).inner_score[0] > 0.8
    assert predict_ridge(shared).inner_score[0] < 0.2


def _grouped(fold: FoldData) -> FoldData:
    groups = (np.arange(len(fold.train)) % 10).astype(np.intp)
    return replace(fold, groups=groups, leave_one_out=False)
