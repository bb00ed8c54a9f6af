"""Kaplan-Meier, log-rank, C-indices and scores at times are those of scikit-survival."""

import numpy as np
import numpy.typing as npt
import pytest
from sksurv import metrics
from sksurv.compare import compare_survival
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from histo_ray.learn.statistics import (
    bootstrap_concordance,
    censoring_curve,
    find_horizon,
    integrate_over,
    kaplan_meier,
    log_rank,
    score_auc_at,
    score_brier_at,
    score_concordance,
    score_concordance_ipcw,
)
from histo_ray.learn.statistics.within_fold import pool_concordance
from histo_ray.learn.targets.follow_up import choose_times, describe_follow_up, measure_follow_up
from histo_ray.learn.targets.kind_support import log_rank_scores
from histo_ray.learn.targets.site_means import predict_by_site, tabulate_site_means
from histo_ray.learn.targets.survival_halves import compare_halves, draw_halves, split_halves
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import sign_times, split_times

Floats = npt.NDArray[np.float64]
Cohort = tuple[Floats, npt.NDArray[np.bool_], Floats]


def draw_cohort(tied: bool, count: int = 150) -> Cohort:
    """Times, events and risks with ties; the last patient is censored after all others."""
    rng = np.random.default_rng(5)
    times = rng.exponential(size=count) * 9 + 0.1
    if tied:
        times = np.ceil(times)
    events = rng.random(count) < 0.6
    times[0], events[0] = times.max() + 1, False
    return times, events, np.round(rng.normal(size=count) - 0.1 * times, 1)


@pytest.fixture(params=[False, True], ids=["distinct", "tied"])
def cohort(request: pytest.FixtureRequest) -> Cohort:
    return draw_cohort(request.param)


def test_signed_times_carry_time_and_event_and_refuse_what_has_no_sign() -> None:
    signed = sign_times([2.0, 3.0, np.nan], [True, False, True])
    np.testing.assert_array_equal(signed, [2.0, -3.0, np.nan])
    found = split_times(signed)
    np.testing.assert_array_equal(found.times, [2.0, 3.0, np.nan])
    assert found.events.tolist() == [True, False, False]
    with pytest.raises(ValueError, match="must be above 0"):
        sign_times([0.0], [True])


def test_curves_and_log_rank_are_those_of_scikit_survival(cohort: Cohort) -> None:
    times, events, risks = cohort
    at, share = kaplan_meier_estimator(events, times)
    found = kaplan_meier(times, events)
    np.testing.assert_allclose(found.times, at)
    np.testing.assert_allclose(found.share, share, atol=1e-12)
    at, share = kaplan_meier_estimator(events, times, reverse=True)
    np.testing.assert_allclose(censoring_curve(times, events).share, share, atol=1e-12)
    high = risks > np.median(risks)
    theirs = compare_survival(Surv.from_arrays(events, times), high)[0]
    assert log_rank(times, events, high).z ** 2 == pytest.approx(theirs, abs=1e-9)
    assert log_rank(times, events, high).z > 0  # the higher risks have more events


def test_greenwoods_error_is_the_published_formula(cohort: Cohort) -> None:
    times, events, _ = cohort
    found = kaplan_meier(times, events)
    at = 7.3
    within = 0.0
    for t in np.unique(times[events & (times <= at)]):
        lost, at_risk = ((times == t) & events).sum(), (times >= t).sum()
        within += lost / (at_risk * (at_risk - lost))
    assert found.error_at(at) == pytest.approx(found.at(at) * np.sqrt(within))


def test_concordance_is_that_of_scikit_survival(cohort: Cohort) -> None:
    times, events, risks = cohort
    signed = sign_times(times, events)
    (found,) = score_concordance(signed[:, None], risks[:, None])
    assert found == pytest.approx(metrics.concordance_index_censored(events, times, risks)[0])
    assert np.isnan(score_concordance(-np.abs(signed)[:, None], risks[:, None]))


def test_weighted_scores_are_those_of_scikit_survival(cohort: Cohort) -> None:
    times, events, risks = cohort
    signed, known = sign_times(times, events), Surv.from_arrays(events, times)
    train, test = slice(0, 90), slice(90, 150)
    censoring = censoring_curve(times[train], events[train])
    horizon = float(np.quantile(times, 0.8))
    theirs = metrics.concordance_index_ipcw(known[train], known[test], risks[test], horizon)[0]
    ours = score_concordance_ipcw(signed[test], risks[test], censoring, horizon)
    assert ours == pytest.approx(theirs, abs=1e-12)
    at = np.quantile(times[test], [0.2, 0.45, 0.7])
    auc = metrics.cumulative_dynamic_auc(known[train], known[test], risks[test], at)[0]
    np.testing.assert_allclose(score_auc_at(signed[test], risks[test], censoring, at), auc)
    survival = np.random.default_rng(0).random((60, 3))
    brier = metrics.brier_score(known[train], known[test], survival, at)[1]
    found = score_brier_at(signed[test], survival, censoring, at)
    np.testing.assert_allclose(found, brier)
    theirs = metrics.integrated_brier_score(known[train], known[test], survival, at)
    assert integrate_over(at, found) == pytest.approx(theirs)


def test_the_bootstrap_is_about_the_mean_over_folds_and_leaves_nobody_in_two() -> None:
    times, events, risks = draw_cohort(tied=True)
    signed = sign_times(times, events)
    rng = np.random.default_rng(1)
    fold_ids = rng.integers(0, 4, (2, 150))
    predicted = np.stack([risks, risks + rng.normal(size=150)])[:, :, None]
    found = bootstrap_concordance(signed[:, None], predicted, 300, 0, fold_ids)
    by_fold = [
        score_concordance(signed[fold_ids[r] == fold][:, None], predicted[r][fold_ids[r] == fold])[
            0
        ]
        for r in range(2)
        for fold in range(4)
    ]
    assert found.score[0] == pytest.approx(np.mean(by_fold), abs=1e-6)
    assert abs(found.draws.mean() - found.score[0]) < 0.02
    again = bootstrap_concordance(signed[:, None], predicted, 300, 0, fold_ids)
    np.testing.assert_array_equal(found.draws, again.draws)


def test_follow_up_is_the_median_of_censoring_and_times_are_as_stated_or_quartiles() -> None:
    signed = np.array([5.0, -1.0, -2.0, 3.0, -8.0, 9.0, np.nan])
    assert measure_follow_up(np.array([-1.0, -2.0, -3.0])) == 2
    assert np.isnan(measure_follow_up(np.array([1.0, 2.0])))
    assert choose_times(signed, (4.0,)).tolist() == [4.0]
    assert choose_times(signed, ()).tolist() == [4.0, 5.0, 7.0]
    told = describe_follow_up(["OS"], signed[:, None], [1.0, 90.0])
    assert told.beyond == ("OS at 90",)


def test_a_horizon_is_the_last_event_with_a_tenth_still_followed() -> None:
    times = np.arange(1.0, 41)
    events = times % 2 == 0
    events[-3:] = [True, False, True]
    share = censoring_curve(times, events).at(times)
    expected = times[events & (share >= 0.1)].max()
    assert find_horizon(sign_times(times, events)) == np.nextafter(expected, np.inf)


def test_log_rank_scores_add_up_to_nothing(cohort: Cohort) -> None:
    times, events, _ = cohort
    scores = log_rank_scores(sign_times(times, events))
    assert scores.sum() == pytest.approx(0, abs=1e-9)
    assert (scores[~events] < 0).all()


def test_halves_are_made_within_each_fold_and_not_over_all() -> None:
    fold_ids = np.array([[0, 0, 0, 0, 1, 1, 1, 1]])
    risks = np.array([[1.0, 2, 3, 4, 101, 102, 103, 104]])  # another scale in the second fold
    halves = split_halves(fold_ids, risks)
    assert halves.tolist() == [[0, 0, 1, 1, 0, 0, 1, 1]]
    signed = np.array([-9.0, -8.0, 1.0, 2.0, -7.0, 6.0, 3.0, 4.0])
    statistics = compare_halves(signed, fold_ids, halves)
    assert statistics.shape == (1, 2)
    assert (statistics > 0).all()
    curves = draw_halves(signed, halves)
    assert curves["lower"].survival[-1] == pytest.approx(3 / 4)
    assert curves["higher"].survival[-1] == 0
    assert curves["higher"].at_risk[0] == 4


def test_a_group_is_scored_by_pairs_of_one_fold_and_its_error_is_that_of_the_jackknife() -> None:
    times, events, risks = draw_cohort(tied=True, count=80)
    signed = sign_times(times, events)
    one = np.zeros((1, 80), int)
    found = pool_concordance(signed, risks[None], one)
    assert found.score == pytest.approx(score_concordance(signed[:, None], risks[:, None])[0])
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
    without = [
        score_concordance(np.delete(signed, at)[:, None], np.delete(risks, at)[:, None])[0]
        for at in range(80)
    ]
    jackknife = np.sqrt(79 * np.var(without))
    assert np.sqrt((found.influence**2).sum()) == pytest.approx(jackknife, rel=0.1)
    apart = np.arange(80)[None] % 2
    halves = pool_concordance(signed, risks[None] + 1000 * apart, apart)
    inside = pool_concordance(signed, risks[None], apart)
    assert halves.score == pytest.approx(inside.score)  # scales of folds are never compared


def test_a_site_whose_patients_die_early_predicts_by_itself() -> None:
    rng = np.random.default_rng(0)
    sites = np.repeat([0, 1], 40)
    times = rng.exponential(np.where(sites == 0, 2.0, 20.0))
    signed = sign_times(times, np.ones(80, bool))[:, None]
    fold_ids = (np.arange(80) % 4)[None, None].astype(np.int32)
    truth = TargetTruth("survival", ("OS",), signed, fold_ids, kind=TargetKind.SURVIVAL)
    predicted = predict_by_site(truth, sites)[0, :, 0]
    assert predicted[sites == 0].min() > predicted[sites == 1].max()
    (row,) = tabulate_site_means(truth, ["early"] * 40 + ["late"] * 40).to_pylist()
    assert row["score"] > 0.65
    assert row["metric"] == "c_index"
