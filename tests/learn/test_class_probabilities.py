"""Calibration, Brier's score and net benefit of out-of-fold probabilities."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import brier_score_loss

from histo_ray.learn.statistics.calibration_scores import calibration_curve, recalibrate_logistic
from histo_ray.learn.statistics.decision_curve import THRESHOLDS, score_net_benefit
from histo_ray.learn.statistics.proportions import wilson_interval
from histo_ray.learn.targets.class_probabilities import (
    score_brier_skill,
    tabulate_calibration,
    take_recalibration,
)
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]


def draw(patients: int, repeats: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.5, 1.2, patients)
    labels = (rng.random(patients) < 1 / (1 + np.exp(-odds))).astype(float)
    noisy = 2 * odds + rng.normal(0, 0.3, (repeats, patients))  # twice too extreme
    return labels, 1 / (1 + np.exp(-noisy))


def test_net_benefit_is_that_of_vickers_and_elkin() -> None:
    truth = np.array([1.0, 1, 0, 0, 0])
    probability = np.array([[0.9, 0.3, 0.6, 0.2, 0.1], [0.9, 0.5, 0.4, 0.2, 0.1]])
    found = score_net_benefit(truth, probability, np.array([0.25, 0.5]))
    # at 1/4: 2 true and 1 false positive twice; at 1/2: 1 and 1, then 2 (0.5 counts) and 0
    assert found.model == pytest.approx([2 / 5 - 1 / 5 / 3, (1 / 5 - 1 / 5 + 2 / 5) / 2])
    assert found.everyone == pytest.approx([2 / 5 - 3 / 5 / 3, 2 / 5 - 3 / 5])
    each = np.array([1, 1, -1 / 3, 0, 0])
    assert found.error[0] == pytest.approx(each.std(ddof=1) / np.sqrt(5))
    nothing = score_net_benefit(np.zeros(0), np.zeros((2, 0)))
    assert np.isnan(nothing.model).all()
    with pytest.raises(ValueError, match="must be"):
        score_net_benefit(truth, probability[0])


def test_brier_and_its_skill_are_those_of_the_repeats() -> None:
    labels, values = draw(150, 4)
    prevalence = np.full(values.shape, labels.mean())
    brier, skill = score_brier_skill(labels, values, prevalence)
    known = np.mean([brier_score_loss(labels, one) for one in values])
    assert brier.estimate == pytest.approx(known)
    base = labels.mean() * (1 - labels.mean())
    assert skill.estimate == pytest.approx(1 - known / base)
    sharp = np.clip(0.2 + 0.6 * labels + np.random.default_rng(1).normal(0, 0.2, (4, 150)), 0, 1)
    _, skill = score_brier_skill(labels, sharp, prevalence)
    own, guess = (((one - labels) ** 2).mean(0) for one in (sharp, prevalence))
    left_out = [
        1 - np.delete(own, at).mean() / np.delete(guess, at).mean() for at in range(len(labels))
    ]
    jackknife = np.std(left_out) * (len(labels) - 1) / np.sqrt(len(labels) - 1)
    assert skill.high - skill.low == pytest.approx(2 * 1.96 * np.sqrt(2) * jackknife, rel=0.03)
    assert score_brier_skill(labels, prevalence, prevalence)[1].estimate == pytest.approx(0)


def test_slope_and_intercept_are_medians_of_the_repeats() -> None:
    labels, values = draw(400, 5)
    each = [recalibrate_logistic(labels, one) for one in values]
    slope, intercept = take_recalibration(labels, values)
    assert slope.estimate == pytest.approx(np.median([one.slope.estimate for one in each]))
    assert intercept.estimate == pytest.approx(np.median([one.intercept.estimate for one in each]))
    assert 0.3 < slope.estimate < 0.7  # 1/2 is right
    widths = [one.slope.high - one.slope.low for one in each]
    assert slope.high - slope.low == pytest.approx(np.sqrt(2) * np.median(widths))
    flat = take_recalibration(labels, np.full((2, 400), 0.4))
    assert np.isnan(flat.slope.estimate)


def test_a_curve_of_repeats_counts_each_patient_once() -> None:
    labels, values = draw(120, 3)
    bins = calibration_curve(np.tile(labels, 3), values.ravel(), binary=True, repeats=3)
    assert sum(one.n for one in bins) == pytest.approx(120, abs=3)
    assert len(bins) == 10
    first = bins[0]
    alone = wilson_interval(round(first.observed.estimate * first.n), first.n)
    assert first.observed.high == pytest.approx(alone.high, abs=0.02)
    alike = calibration_curve(np.tile(labels, 3), np.tile(values[0], 3), binary=True, repeats=3)
    known = calibration_curve(labels, values[0], binary=True)
    for one, other in zip(alike, known, strict=True):  # the same patient thrice says no more
        ends = (one.n, one.observed.low, one.observed.high)
        assert ends == pytest.approx((other.n, other.observed.low, other.observed.high))
    once = calibration_curve(labels, values[0], binary=True)
    assert [one.n for one in once] == [12] * 10  # as before there were repeats


def test_the_tables_have_a_row_a_metric_bin_and_threshold() -> None:
    labels, values = draw(80, 2)
    folds = np.stack([np.arange(80) % 4, (np.arange(80) // 2) % 4])
    both = np.column_stack([labels, np.where(np.arange(80) < 10, np.nan, labels)])
    truth = TargetTruth("mutation", ("A", "B"), both, folds, kind=TargetKind.BINARY)
    predicted = np.repeat(values[:, :, None], 2, axis=2)
    predicted[:, :10, 1] = np.nan
    tables = tabulate_calibration(truth, {"one": predicted})
    frame = tables["calibration"].to_pandas()
    assert frame.groupby(["target", "metric"]).size().tolist() == [1] * 8
    assert set(frame[frame["target"] == "B"]["n_patients"]) == {70}
    curves = tables["decision_curves"].to_pandas()
    assert curves.groupby("target")["threshold"].apply(list).tolist() == [THRESHOLDS.tolist()] * 2
    assert set(tables["calibration_curves"].to_pandas()["bin"]) <= set(range(10))
    numbers = TargetTruth("expression", ("A", "B"), both, folds, kind=TargetKind.CONTINUOUS)
    assert tabulate_calibration(numbers, {"one": predicted}) == {}
    assert tabulate_calibration(truth, {"one": predicted * 3}) == {}  # no probabilities
