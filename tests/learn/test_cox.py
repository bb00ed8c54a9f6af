"""Cox regression with a ridge penalty: the coefficients of scikit-survival, and honest choices."""

import numpy as np
import numpy.typing as npt
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from histo_ray.errors import ConfigError
from histo_ray.learn.cox_fit import (
    fit_cox_path,
    hazard_at,
    list_risk_sets,
    measure_baseline,
    predict_survival,
    score_partial,
)
from histo_ray.learn.fold_data import FoldData, standardise_by
from histo_ray.learn.heads.cox import COX_PENALTIES, fit_cox, predict_cox
from histo_ray.types.signed_times import sign_times, split_times

Floats = npt.NDArray[np.float64]


def draw(count: int, dim: int, tied: bool, seed: int = 0) -> tuple[Floats, Floats]:
    """Features, and signed times that follow the first of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, dim))
    times = rng.exponential(np.exp(-features[:, 0])) * 6 + 0.01
    if tied:
        times = np.ceil(times)
    return features, sign_times(times, rng.random(count) < 0.6)


def make_fold(features: Floats, signed: Floats, trained: int, **changes: object) -> FoldData:
    train, test = standardise_by(features[:trained], features[trained:])
    values = {"groups": None, "seed": 3, "choices": COX_PENALTIES, "inner_folds": 4} | changes
    return FoldData(train, signed[:trained, None], test, ("OS",), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dim", [7, 90])  # fewer and more features than patients
def test_coefficients_are_those_of_scikit_survival(tied: bool, dim: int) -> None:
    features, signed = draw(50, dim, tied)
    times, events = split_times(signed)
    fits = fit_cox_path(signed, features, [30.0, 3.0, 0.5])
    for penalty, fit in zip([30.0, 3.0, 0.5], fits, strict=True):
        model = CoxPHSurvivalAnalysis(alpha=penalty, ties="efron", tol=1e-12, n_iter=200)
        model.fit(features, Surv.from_arrays(events, times))
        np.testing.assert_allclose(fit.weights, model.coef_, atol=1e-7)
        np.testing.assert_allclose(fit.log_hazard, features @ fit.weights)


def test_the_baseline_hazard_is_that_of_scikit_survival() -> None:
    features, signed = draw(60, 4, tied=True)
    times, events = split_times(signed)
    model = CoxPHSurvivalAnalysis(alpha=2.0, ties="breslow", tol=1e-12)
    model.fit(features, Surv.from_arrays(events, times))
    steps, hazard = measure_baseline(signed, features @ model.coef_)
    theirs = model.cum_baseline_hazard_
    at = np.unique(times)
    np.testing.assert_allclose(hazard_at(steps, hazard, at), theirs(at), atol=1e-9)
    survival = predict_survival(features[:5] @ model.coef_, hazard_at(steps, hazard, at))
    expected = [one(at) for one in model.predict_survival_function(features[:5])]
    np.testing.assert_allclose(survival, expected, atol=1e-9)
    assert hazard_at(steps, hazard, 0.0) == 0


def test_the_partial_likelihood_counts_ties_by_efron() -> None:
    signed = np.array([2.0, 2.0, -2.0, 5.0])
    w = np.array([1.0, 2.0, 4.0, 8.0])
    expected = np.log(1 * 2) - np.log(15.0) - np.log(15.0 - 1.5) + np.log(8) - np.log(8)
    assert score_partial(list_risk_sets(signed), np.log(w)) == pytest.approx(expected)
    assert score_partial(list_risk_sets(-np.abs(signed)), np.log(w)) == 0


def test_what_is_kept_predicts_what_predict_does_and_wide_features_cost_nothing() -> None:
    for dim in (9, 200):
        features, signed = draw(70, dim, tied=True)
        fold = make_fold(features, signed, 55)
        found, kept = predict_cox(fold), fit_cox(fold)
        np.testing.assert_allclose(fold.test @ kept.weights + kept.bias, found.predicted)
        np.testing.assert_array_equal(kept.choice, found.choice)
        (direct,) = fit_cox_path(signed[:55], fold.train, [found.choice[0] * dim])
        np.testing.assert_allclose(kept.weights[:, 0], direct.weights, atol=1e-6)


def test_the_penalty_is_chosen_by_the_held_out_partial_likelihood() -> None:
    features, signed = draw(60, 6, tied=False)
    fold = make_fold(features, signed, 60)
    from_all = [
        predict_cox(make_fold(features, signed, 60, choices=(one, one))).inner_score[0]
        for one in COX_PENALTIES
    ]
    found = predict_cox(fold)
    assert found.inner_score[0] == pytest.approx(max(from_all), abs=1e-4)
    assert found.choice[0] == COX_PENALTIES[int(np.argmax(from_all))]
    assert 0 < found.inner_score[0] < 1


def test_noise_is_smoothed_away() -> None:
    rng = np.random.default_rng(8)
    features, signed = draw(120, 12, tied=False)
    noise = make_fold(rng.normal(size=features.shape), signed, 120)
    assert predict_cox(noise).choice[0] >= 1
    assert predict_cox(noise).inner_score[0] < 0.05


def test_labels_of_the_test_part_and_their_groups_bear_on_nothing() -> None:
    features, signed = draw(60, 6, tied=False)
    one = predict_cox(make_fold(features, signed, 45))
    other = signed.copy()
    other[45:] *= -3
    np.testing.assert_array_equal(
        one.predicted, predict_cox(make_fold(features, other, 45)).predicted
    )


def test_whole_groups_stay_together_in_inner_folds() -> None:
    features, signed = draw(60, 6, tied=False)
    groups = (np.arange(60) // 10).astype(np.intp)
    apart = predict_cox(make_fold(features, signed, 60))
    together = predict_cox(make_fold(features, signed, 60, groups=groups))
    assert together.inner_score[0] != apart.inner_score[0]
    alone = predict_cox(make_fold(features, signed, 60, groups=np.zeros(60, np.intp)))
    assert np.isnan(alone.inner_score[0])
    assert alone.choice[0] == COX_PENALTIES[0]


def test_a_training_part_without_events_is_refused_by_name() -> None:
    features, signed = draw(30, 3, tied=False)
    with pytest.raises(ConfigError, match="endpoint OS: none of the 30 patients"):
        predict_cox(make_fold(features, -np.abs(signed), 30))
