"""Do external validations say what is true? Few simulations here, 400 among the slow tests."""

import pytest

from benchmarks.truth_external import ABROAD, FREQUENT, HOME, NOISE, STAINED
from testing.external_truth import CHECKED, compare_equals, measure_coverage, measure_shift


def test_a_few_intervals_hold_what_is_true_and_noise_stays_at_a_half() -> None:
    found = measure_coverage(6, HOME, ABROAD)
    assert found["auroc in its interval"] >= 5 / 6
    assert found["AUROC, mean of the true ones"] > 0.7
    noise = measure_coverage(3, NOISE, NOISE)
    assert noise["AUROC, mean of the true ones"] == pytest.approx(0.5, abs=0.02)


def test_other_prevalence_shows_in_calibration_and_other_stain_in_the_distance() -> None:
    plain, frequent, stained = (measure_shift(2, HOME, to) for to in (HOME, FREQUENT, STAINED))
    name = "calibration intercept, mean"
    assert frequent[name] > plain[name] + 0.7
    assert stained["tiles outside above 5 %"] == 1
    assert plain["tiles outside above 5 %"] == frequent["tiles outside above 5 %"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ninety_five_of_a_hundred_intervals_hold_what_is_true() -> None:
    found = measure_coverage(400, HOME, ABROAD)
    assert 0.93 <= found["auroc in its interval"] <= 0.97
    assert all(found[f"{name} in its interval"] > 0.9 for name in CHECKED)
    noise = measure_coverage(100, NOISE, NOISE)
    assert noise["AUROC, mean error"] == pytest.approx(0, abs=0.02)
    equal = compare_equals(400)
    assert all(0.02 <= share <= 0.08 for share in equal.values())
