import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.synth.states import SITES, draw_states, imbalance


def test_every_step_of_a_state_has_one_patient() -> None:
    states = draw_states(37, seed=2)
    for level in (states.inflammation, states.differentiation):
        assert sorted(np.floor(level * 37).astype(int)) == list(range(37))
    assert len(set(states.patients)) == len(states) == 37


@pytest.mark.parametrize("count", [15, 36])
def test_states_and_sites_know_nothing_of_each_other(count: int) -> None:
    for seed in range(4):
        states = draw_states(count, seed)
        site = np.array([SITES.index(name) for name in states.sites])
        assert imbalance(states.inflammation, states.differentiation, site) < 0.12
        counts = np.bincount(site, minlength=len(SITES))
        assert counts.max() - counts.min() <= 1


def test_imbalance_adds_the_correlation_of_states_and_the_sites_share_of_each() -> None:
    site = np.array([0, 0, 0, 1, 1, 1])
    told = np.array([1.0, 1, 1, 3, 3, 3])  # the site tells all of it
    free = np.array([1.0, 2, 3, 1, 2, 3])  # and nothing of this one
    assert imbalance(told, free, site) == pytest.approx(1)
    assert imbalance(free, free, site) == pytest.approx(1)
    assert imbalance(told, told, site) == pytest.approx(3)
    assert imbalance(told, -told, site) == pytest.approx(3)
    half = np.array([0.0, 1, 0, 1, 0, 1])  # between sites 1/9 of its variance
    assert imbalance(half, free, site) == pytest.approx(1 / 9)


def test_another_seed_is_another_cohort_and_the_same_the_same() -> None:
    one, again, other = draw_states(20, 1), draw_states(20, 1), draw_states(20, 2)
    np.testing.assert_array_equal(one.inflammation, again.inflammation)
    assert one.sites == again.sites
    assert not np.allclose(one.inflammation, other.inflammation)


def test_scores_have_mean_zero_and_unit_spread() -> None:
    score = draw_states(400, 0).score("differentiation")
    assert score.mean() == pytest.approx(0, abs=0.01)
    assert score.std() == pytest.approx(1, abs=0.01)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"9 synthetic patients are too few; ask for 10 or more"):
        draw_states(9, 0)
