import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from histo_ray.synth.molecules import (
    GENES,
    MUTATIONS,
    simulate_expression,
    simulate_mutations,
)
from histo_ray.synth.states import HiddenStates, draw_states


@pytest.fixture(scope="module")
def crowd() -> HiddenStates:
    return draw_states(4000, seed=5)


def test_there_are_genes_of_every_kind() -> None:
    drivers = [gene.driver for gene in GENES]
    assert [drivers.count(kind) for kind in ("inflammation", "differentiation", "")] == [8, 4, 12]
    assert [m.driver for m in MUTATIONS].count("") == 4
    names = [gene.name for gene in GENES] + [mutation.name for mutation in MUTATIONS]
    assert all(name.startswith("SYN") for name in names)
    assert len(set(names)) == 30


def test_genes_correlate_with_their_driver_as_said_and_with_nothing_else(
    crowd: HiddenStates,
) -> None:
    values = simulate_expression(crowd, seed=5)
    assert values.shape == (4000, len(GENES))
    assert values.min() >= 0
    for driver in ("inflammation", "differentiation"):
        wanted = [gene.correlation if gene.driver == driver else 0 for gene in GENES]
        found = [np.corrcoef(column, crowd.score(driver))[0, 1] for column in values.T]
        np.testing.assert_allclose(found, wanted, atol=0.06)
    among = np.corrcoef(values[:, 12:].T) - np.eye(12)
    assert np.abs(among).max() < 0.08


def test_mutations_follow_a_logistic_model_with_the_log_odds_that_are_said(
    crowd: HiddenStates,
) -> None:
    carried = simulate_mutations(crowd, seed=5)
    scores = np.stack([crowd.score("inflammation"), crowd.score("differentiation")], axis=1)
    for column, mutation in enumerate(MUTATIONS):
        fit = LogisticRegression(C=1e6).fit(scores, carried[:, column])
        wanted = [mutation.log_odds * (mutation.driver == name) for name in _STATES]
        np.testing.assert_allclose(fit.coef_[0], wanted, atol=0.35)


@pytest.mark.parametrize("count", [15, 36])
def test_every_mutation_has_exactly_its_share_of_carriers(count: int) -> None:
    for seed in range(3):
        carriers = simulate_mutations(draw_states(count, seed), seed).sum(axis=0)
        assert carriers.tolist() == [round(m.prevalence * count) for m in MUTATIONS]
        assert carriers.min() >= 5
        assert (count - carriers).min() >= 5


def test_the_seed_decides_every_value(crowd: HiddenStates) -> None:
    few = draw_states(12, 1)
    np.testing.assert_array_equal(simulate_expression(few, 3), simulate_expression(few, 3))
    assert not np.allclose(simulate_expression(few, 3), simulate_expression(few, 4))
    assert (simulate_mutations(crowd, 3) != simulate_mutations(crowd, 4)).any()


_STATES = ("inflammation", "differentiation")
