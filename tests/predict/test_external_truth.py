"""Do external validations say what is true? Few simulations here, 400 among the slow tests."""

import pytest

from benchmarks.truth_external import ABROAD, HOME, NOISE, SHIFTED
from testing.external_truth import CHECKED, compare_equals, measure_coverage, measure_shift


def test_a_few_intervals_hold_what_is_true_and_noise_stays_at_a_half() -> None:
    found = measure_coverage(6, HOME, ABROAD)
    assert found["auroc in its interval"] >= 5 / 6
    assert found["AUROC, mean of the true ones"] > 0.7
    noise = measure_coverage(3, NOISE, NOISE)
    assert noise["AUROC, mean of the true ones"] == pytest.approx(0.5, abs=0.02)


def test_a_cohort_of_another_place_shows() -> None:
    shifted = measure_shift(3, HOME, SHIFTED)
    assert shifted["calibration is off, by its intervals"] == 1
    assert shifted["tiles outside above 5 %"] == 1
    assert measure_shift(3, HOME, HOME)["tiles outside above 5 %"] == 0


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
