"""The hidden state of synthetic patients, and the sites that they come from. Pure."""

from dataclasses import dataclass

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.synth.noise import Indices, Numbers

SITES = ("SYN-NORTH", "SYN-EAST", "SYN-SOUTH", "SYN-WEST")
LEAST_PATIENTS = 10
"""With fewer, folds of a mutation's carriers are hardly possible."""
_CANDIDATES = 200


@dataclass(frozen=True)
class HiddenStates:
    """Hidden states that the tissue shows and no table holds; columns have one entry a patient."""

    patients: tuple[str, ...]
    inflammation: Numbers
    """0..1: how much of the stroma is full of lymphocytes."""
    differentiation: Numbers
    """0..1: from solid nests to glands."""
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patients)

    def score(self, driver: str) -> Numbers:
        """(P,) `inflammation` or `differentiation` at mean 0 and standard deviation 1."""
        level: Numbers = getattr(self, driver)
        standard: Numbers = (level - 0.5) * np.sqrt(12)
        return standard


def draw_states(count: int, seed: int) -> HiddenStates:
    """Draw patients whose two states and whose site are independent of each other.

    Both states are uniform, one patient in each of `count` equal steps. The order in which they
    are dealt, and the sites, are the best balanced of `_CANDIDATES` random ones, so that neither
    state can be read off a site's colours, nor one from the other (rerandomisation: Morgan and
    Rubin, Ann Stat 2012, doi 10.1214/12-AOS1008).

    Args:
        count: Patients, at least `LEAST_PATIENTS`.
        seed: Another seed, other patients.

    Raises:
        ConfigError: Too few patients.
    """
    if count < LEAST_PATIENTS:
        raise ConfigError(
            f"{count} synthetic patients are too few; ask for {LEAST_PATIENTS} or more"
        )
    rng = np.random.default_rng([seed, 20])
    steps = np.arange(count)
    inflammation = (rng.permutation(count) + rng.random(count)) / count
    levels = (steps + rng.random(count)) / count
    dealt = [(rng.permutation(levels), rng.permutation(steps)) for _ in range(_CANDIDATES)]
    balance = [imbalance(inflammation, other, order % len(SITES)) for other, order in dealt]
    differentiation, order = dealt[int(np.argmin(balance))]
    return HiddenStates(
        patients=tuple(f"SYN-{1001 + number}" for number in range(count)),
        inflammation=inflammation,
        differentiation=differentiation,
        sites=tuple(SITES[number] for number in order % len(SITES)),
    )


def imbalance(one: Numbers, other: Numbers, site: Indices) -> float:
    """Dependence of two states and a site on each other: the sum of the three shares of variance.

    Args:
        one: (P,) a state.
        other: (P,) another.
        site: (P,) number of the site, from 0.

    Returns:
        0..3; 0 if the states do not correlate and all sites have the same means of both.
    """
    first, second = ((state - state.mean()) / state.std() for state in (one, other))
    total = np.mean(first * second) ** 2
    sizes = np.bincount(site)
    for state in (first, second):
        sums = np.bincount(site, weights=state)
        total += np.sum(sums**2 / np.maximum(sizes, 1)) / len(site)
    return float(total)
