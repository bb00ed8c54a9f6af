"""Intervals of scores and differences: what they are made of, and that P never contradicts them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from histo_ray.cohort.folds import draw_folds
from histo_ray.cohort.patient_folds import draw_shared_folds, draw_target_folds
from histo_ray.learn.statistics import (
    FISHER_Z,
    IDENTITY,
    SHARE,
    ScoreError,
    ScoreScale,
    corrected_t_test,
    estimate_error,
    fold_overlap,
    keep_to_test,
    prediction_noise,
    score_interval,
    variance_inflation,
    wilson_interval,
)
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_tables import compare_encoders
from histo_ray.learn.targets.target_tests import test_difference as compare_folds
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.learn.tiles.tissue_scores import Draws, decision_noise
from histo_ray.learn.tiles.tissue_scores import score_encoder as score_tissue
from histo_ray.learn.tiles.tissue_tables import (
    TileTally,
    TileTruth,
    tabulate_predictions,
    tally_predictions,
)
from histo_ray.learn.tiles.tissue_tables import compare_encoders as compare_tissue
from histo_ray.types import TargetKind

LEVEL = 0.05


def agrees(p: float, low: float, high: float) -> bool:
    """Whether P and the interval of a difference say the same."""
    if np.isnan([p, low, high]).any():
        return bool(np.isnan([p, low, high]).all())
    return (p < LEVEL) == (low > 0 or high < 0)


def draw_truth(rng: np.random.Generator, binary: bool, groups: int, holes: bool) -> TargetTruth:
    """Labels of patients, each alone or in few groups that are kept whole."""
    patients, names = 48, ("A", "B", "C")
    values = rng.normal(size=(patients, len(names)))
    sites = None
    alone = [str(number) for number in range(patients)]
    if binary:
        values = (values > np.quantile(values, [0.5, 0.8, 0.9], axis=0).diagonal()).astype(float)
    if holes:
        gone = rng.random(values.shape) < 0.1
        values[gone & (values < 1) if binary else gone] = np.nan  # folds need all positives
    if groups:
        sites = tuple(f"site {number % groups}" for number in range(patients))
    if binary and not groups:
        folds = draw_target_folds(values, names, 3, 4, 0, alone)
    else:
        folds = draw_shared_folds(np.nan_to_num(values), 3, 4, 0, sites or alone)
    kind = TargetKind.BINARY if binary else TargetKind.CONTINUOUS
    return TargetTruth("task", names, values, folds.fold_ids, sites, sites, kind=kind)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    binary=st.booleans(),
    groups=st.sampled_from([0, 3, 5, 8]),
    holes=st.booleans(),
    shift=st.sampled_from([0.0, 0.7, 3.0]),
)
def test_p_is_below_5_percent_where_the_interval_leaves_out_0_and_only_there(
    seed: int, binary: bool, groups: int, holes: bool, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, binary, groups, holes)
    predicted = rng.normal(size=(2, truth.repeats, *truth.values.shape))
    predicted[1] += shift * np.nan_to_num(truth.values)
    predicted[:, :, np.isnan(truth.values)] = np.nan
    if seed % 5 == 0:
        predicted[:, 0, :, 0] = np.nan  # a repeat without predictions
    scores = {
        name: score_encoder(truth, one.astype(np.float32), 100, 0)
        for name, one in zip("ab", predicted, strict=True)
    }
    for row in compare_encoders(truth, scores).to_pylist():
        assert agrees(row["p_corrected"], row["low"], row["high"])
    chance = METRICS[truth.kind].chance
    for one in scores.values():
        tested = compare_folds(truth, one.by_fold - chance)
        for at in np.flatnonzero(truth.support.few & (one.resampled.score < 1)):
            ends = one.interval.low[at] - chance, one.interval.high[at] - chance
            assert agrees(tested.p[at], *ends)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), groups=st.sampled_from([0, 5, 8]))
def test_a_difference_near_the_edge_agrees_too_and_equal_or_missing_folds_do(
    seed: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, binary=False, groups=groups, holes=False)
    scores = rng.normal(size=(truth.repeats, 3, 3))
    scores[rng.random(scores.shape) < 0.15] = np.nan
    found = compare_folds(truth, scores)
    middle = (found.low + found.high) / 2
    for edge in (0.999, 1.001):  # the interval's end lies just beside 0
        moved = compare_folds(truth, scores - middle + edge * (found.high - middle))
        for at in range(3):
            assert agrees(moved.p[at], moved.low[at], moved.high[at])
            assert np.isnan(moved.p[at]) or (moved.p[at] < LEVEL) == (edge > 1)
    for constant in (0.0, 0.25):
        equal = compare_folds(truth, np.full_like(scores, constant))
        assert all(map(agrees, equal.p, equal.low, equal.high))


def tally_tiles(rng: np.random.Generator, groups: int, wrong: float) -> TileTally:
    """Predictions of tiles, of which a share is wrong."""
    truth, fold_ids = tiles_of(groups)
    tables = []
    for repeat, part in enumerate(fold_ids):
        predicted = np.where(rng.random(len(part)) < wrong, 0, truth.labels).astype(np.int32)
        nothing = np.zeros(len(part))
        where = {"split": "cv", "encoder": "x", "repeat": repeat}
        tables.append(
            tabulate_predictions(where, truth, part, predicted, nothing.astype(np.float32), nothing)
        )
    return tally_predictions(tables, truth, 0)


def tiles_of(groups: int) -> tuple[TileTruth, np.ndarray]:
    labels = np.arange(90, dtype=np.int32) % 3
    names = tuple(f"P{number // 3 % groups}" for number in range(90)) if groups else None
    folds = draw_folds([str(label) for label in labels], 3, 4, 0, names)
    return TileTruth(("0", "1", "2"), labels, names), folds.fold_ids


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    groups=st.sampled_from([0, 4, 6, 15]),
    wrong=st.sampled_from([0.0, 0.4, 0.55]),
)
def test_tissue_never_contradicts_itself_either(seed: int, groups: int, wrong: float) -> None:
    rng = np.random.default_rng(seed)
    truth, fold_ids = tiles_of(groups)
    pair = {"a": tally_tiles(rng, groups, 0.5), "b": tally_tiles(rng, groups, wrong)}
    for row in compare_tissue("cv", pair, truth, 100, 0, fold_ids):
        assert agrees(row["p_corrected"], row["low"], row["high"])
        np.testing.assert_equal((row["low"], row["high"]), (row["t_low"], row["t_high"]))


def test_a_share_has_wilsons_interval_of_as_many_units_as_would_give_its_error() -> None:
    score, units = np.array([0.9, 0.5, 0.03]), 40
    error = np.sqrt(score * (1 - score) / units)
    z = stats.norm.ppf(0.975)
    low, high = SHARE.bound(score, z * error)
    for at, share in enumerate(score):
        wilson = wilson_interval(share * units, units)
        assert (low[at], high[at]) == pytest.approx((wilson.low, wilson.high))


def test_a_correlation_is_bounded_by_the_delta_method_on_fishers_z() -> None:
    low, high = FISHER_Z.bound(np.array([0.9, -0.2]), np.array([0.05, 0.3]))
    for at, (score, reach) in enumerate([(0.9, 0.05), (-0.2, 0.3)]):
        wide = reach / (1 - score**2)
        middle = 0.5 * np.log((1 + score) / (1 - score))
        assert low[at] == pytest.approx(np.tanh(middle - wide))
        assert high[at] == pytest.approx(np.tanh(middle + wide))


@pytest.mark.parametrize("scale", [IDENTITY, FISHER_Z, SHARE])
def test_short_intervals_are_the_score_less_and_plus_the_reach(scale: ScoreScale) -> None:
    score = np.array([0.03, 0.4, 0.97])
    low, high = scale.bound(score, np.full(3, 1e-6))
    np.testing.assert_allclose([score - low, high - score], 1e-6, rtol=1e-3)


def test_an_interval_is_students_and_never_leaves_the_range() -> None:
    score, error = np.array([0.9, 0.99, 0.5]), np.array([0.03, 0.4, 0.1])
    low, high = score_interval(score, ScoreError(error, np.full(3, 7.0)), SHARE, 30)
    assert ((low > 0) & (low < score) & (score < high) & (high <= 1)).all()
    reach = stats.t.ppf(0.975, 7) * 0.03
    for end in (low[0], high[0]):  # both ends solve Wilson's equation
        allowed = reach * np.sqrt(end * (1 - end) / (0.9 * 0.1))
        assert abs(end - 0.9) == pytest.approx(allowed)
    plain = score_interval(score, ScoreError(error, np.full(3, 7.0)), IDENTITY, 30)
    assert plain.high[2] == pytest.approx(0.5 + stats.t.ppf(0.975, 7) * 0.1)


def test_a_high_area_has_a_short_interval_where_its_error_is_short() -> None:
    score, estimate = np.array([0.97]), ScoreError(np.array([0.03]), np.array([15.0]))
    low, high = score_interval(score, estimate, SHARE, 24)
    assert 0.80 < low[0] < 0.90
    assert 0.99 < high[0] < 1.0


@given(
    score=st.floats(0.01, 0.99),
    error=st.floats(0.001, 1.0),
    df=st.floats(1.0, 50.0),
    scale=st.sampled_from([FISHER_Z, SHARE]),
)
def test_an_interval_of_a_tests_error_leaves_out_chance_as_the_test_does(
    score: float, error: float, df: float, scale: ScoreScale
) -> None:
    chance = (scale.lowest + scale.highest) / 2
    scores = np.array([scale.lowest + score * (scale.highest - scale.lowest)])
    estimate = ScoreError(np.array([error]), np.array([df]))
    plain = score_interval(scores, estimate, scale, 7)
    low, high = keep_to_test(plain, scores, estimate, chance)
    p = 2 * stats.t.sf(np.abs(scores - chance) / error, df)
    assert agrees(p[0], low[0] - chance, high[0] - chance)
    assert plain.low <= low <= scores <= high <= plain.high


def test_a_high_score_of_few_units_does_not_reach_chance_against_its_test() -> None:
    score, estimate = np.array([0.941]), ScoreError(np.array([0.12]), np.array([8.0]))
    plain = score_interval(score, estimate, SHARE, 7)
    low, high = keep_to_test(plain, score, estimate, 0.5)
    assert plain.low[0] < 0.5 < low[0]
    assert low[0] == pytest.approx(0.941 - stats.t.ppf(0.975, 8) * 0.12)
    assert high[0] == plain.high[0]


def test_a_perfect_score_is_bounded_by_its_units_and_an_equal_one_has_no_interval() -> None:
    nothing = ScoreError(np.zeros(3), np.full(3, 9.0))
    low, high = score_interval(np.array([1.0, 0.0, 0.7]), nothing, SHARE, [12, 8, 8])
    assert (low[0], high[0]) == (wilson_interval(12, 12).low, 1.0)
    assert (low[1], high[1]) == (0.0, wilson_interval(0, 8).high)
    assert np.isnan([low[2], high[2]]).all()
    one = score_interval(np.array([1.0]), ScoreError(np.zeros(1), np.ones(1)), FISHER_Z, 12)
    assert one.low[0] == pytest.approx(2 * wilson_interval(12, 12).low - 1)
    lost = score_interval(np.array([1.0]), ScoreError(np.full(1, np.nan), np.ones(1)), SHARE, 4)
    assert np.isnan(lost).all()


def test_without_signal_and_with_much_the_corrections_are_those_of_the_tests() -> None:
    np.testing.assert_allclose(variance_inflation([0.0, 0.5, 1.0, np.nan]), [1, 2.125, 2, 2])
    for share in (0.1, 0.2, 1 / 3):
        chance = 2 * share * (1 - share)
        np.testing.assert_allclose(
            fold_overlap([0.0, 1.0], share), [share / (1 - share), chance / (1 - chance)]
        )
        less = 0.6 * chance
        np.testing.assert_allclose(
            fold_overlap([0.0, 1.0], share, 0.6), [share / (1 - share), less / (1 - less)]
        )


@pytest.mark.parametrize("noise", [0.0, 0.4, 1.0])
def test_both_estimates_are_those_of_drawn_scores(noise: float) -> None:
    # the score of a fold is made of each patient's own part, as tested and as trained on, and of
    # pairs; see score_interval.py
    rng = np.random.default_rng(3)
    patients, n_folds, repeats, cohorts = 40, 4, 20, 900
    parts = np.stack([rng.permutation(patients) % n_folds for _ in range(repeats)])
    tested = (parts[:, None] == np.arange(n_folds)[:, None]).reshape(-1, patients)
    own = np.sqrt((1 - noise) * patients) * rng.normal(size=(cohorts, patients))
    pairs = np.sqrt(noise) * patients * rng.normal(size=(cohorts, patients, patients))
    pairs = np.triu(pairs, 1)
    pairs += pairs.transpose(0, 2, 1)
    in_test, in_training = tested / tested.sum(1)[:, None], ~tested / (~tested).sum(1)[:, None]
    scores = own @ (in_test + noise * in_training).T
    scores += np.einsum("jp,cpq,jq->cj", in_test, pairs, in_training, optimize=True)
    psi = own[:, None] + np.einsum("cpq,jq->cjp", pairs, in_training)  # of a patient, heads fixed
    mean_psi = (psi * tested).sum(1) / repeats  # tested once a repeat
    fixed = np.sqrt((mean_psi**2).sum(1)) / patients
    share = np.full(cohorts, 1 / n_folds)
    true = scores.mean(1).var()
    inflated = (fixed**2 * variance_inflation(noise)).mean()
    folds = (scores.var(1, ddof=1) * (1 / scores.shape[1] + fold_overlap(noise, share))).mean()
    assert inflated == pytest.approx(true, rel=0.12)
    assert folds == pytest.approx(true, rel=0.12)
    both = estimate_error(fixed, scores, np.full(cohorts, noise), share, patients)
    assert (both.error**2).mean() == pytest.approx((inflated + folds) / 2)
    assert (both.df > patients - 1).all()


def test_an_error_needs_a_bootstrap_and_two_folds() -> None:
    folds = np.array([[0.1, 0.2, np.nan], [0.3, np.nan, np.nan], [0.1, 0.2, 0.3]])
    found = estimate_error(np.array([0.1, 0.1, np.nan]), folds, np.ones(3), 0.2, 20)
    assert np.isnan(found.error).tolist() == [False, True, True]
    two = corrected_t_test(folds[0, :2], 0.8, 0.2, correlation="chance")
    other = (two.high - two.low) / 2 / stats.t.ppf(0.975, 1)
    assert found.error[0] == pytest.approx(np.sqrt((0.1**2 * 2 + other**2) / 2))


def test_noise_is_what_repeats_do_not_share() -> None:
    rng = np.random.default_rng(0)
    repeats, patients, share = 8, 4000, 0.2
    signal, noise = rng.normal(size=(1, patients, 3)), rng.normal(size=(repeats, patients, 3))
    parts = np.array([0.0, 0.25, 1.0])  # of the variance, new in each training part
    changing = np.sqrt(parts * share) * noise
    predicted = np.sqrt(1 - parts * share) * signal + changing
    predicted[:, :100] = np.nan
    scaled = 3 * predicted + 7  # neither the scale of a repeat nor its mean matters
    for some in (predicted, scaled):
        found = prediction_noise(some.astype(np.float32), np.full(3, share))
        np.testing.assert_allclose(found, parts, atol=0.05)
    assert np.isnan(prediction_noise(predicted[:1], np.full(3, share))).all()
    assert np.isnan(prediction_noise(np.ones((4, 9, 1)), np.full(1, share))).all()


def test_noise_of_decisions_is_what_repeats_do_not_share() -> None:
    rng = np.random.default_rng(0)
    sure = (rng.random(5000) < 0.7).astype(float)
    assert decision_noise(sure, 10, 0.2)[0] == pytest.approx(0.0, abs=1e-12)
    guessed = rng.binomial(10, 0.7, 5000) / 10
    assert decision_noise(guessed, 10, 0.2)[0] == 1.0
    for noise in (0.3, 0.7):  # scores of two repeats correlate by 1 - 0.2 * noise
        kept = rng.normal(size=(5000, 1)) * np.sqrt(1 - 0.2 * noise)
        drawn = kept + rng.normal(size=(5000, 10)) * np.sqrt(0.2 * noise)
        found = decision_noise((drawn > 0).mean(1), 10, 0.2)[0]
        assert found == pytest.approx(noise, abs=0.06)
    assert np.isnan(decision_noise(sure, 1, 0.2)).all()
    assert np.isnan(decision_noise(np.ones(9), 5, 0.2)).all()


def test_scores_of_tiles_have_intervals_where_groups_suffice() -> None:
    rng = np.random.default_rng(2)
    for groups in (4, 6, 30):
        truth, fold_ids = tiles_of(groups)
        rows = list(score_tissue(tally_tiles(rng, groups, 0.4), truth, Draws(200, 0), fold_ids))
        assert [row["metric"] for row in rows] == ["accuracy", "balanced_accuracy", *["recall"] * 3]
        assert all(row["units_are"] == "groups" and row["units"] == groups for row in rows)
        for row in rows:
            if groups < 5:
                assert np.isnan([row["low"], row["high"]]).all()
            elif row["score"] < 1:
                assert 0 < row["low"] < row["score"] < row["high"] < 1
            else:
                assert (row["low"], row["high"]) == (wilson_interval(groups, groups).low, 1.0)


def test_a_locked_head_on_other_tiles_has_a_narrower_interval() -> None:
    rng = np.random.default_rng(2)
    truth, fold_ids = tiles_of(30)
    tally = tally_tiles(rng, 30, 0.4)
    cv, test = (
        next(iter(score_tissue(tally, truth, Draws(400, 0), ids))) for ids in (fold_ids, None)
    )
    assert cv["score"] == test["score"]
    assert cv["low"] < test["low"] < test["high"] < cv["high"]
