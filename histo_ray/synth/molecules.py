"""Gene expression and mutations of synthetic patients: some follow the hidden state. Pure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histo_ray.synth.noise import Numbers
from histo_ray.synth.states import HiddenStates

Driver = Literal["inflammation", "differentiation", ""]


@dataclass(frozen=True)
class Gene:
    """One gene's expression."""

    name: str
    driver: Driver
    """The state it follows; empty: none."""
    correlation: float
    """With that state, in a large cohort; 0 without a driver."""


@dataclass(frozen=True)
class Mutation:
    """One gene that is mutated or not."""

    name: str
    driver: Driver
    """The state it follows; empty: none."""
    log_odds: float
    """What one standard deviation of the state adds to the log odds; 0 without a driver."""
    prevalence: float
    """Share of the patients that carry it: exactly, so that every fold finds some."""


_CORRELATIONS: tuple[tuple[Driver, tuple[float, ...]], ...] = (
    ("inflammation", (0.92, 0.88, 0.84, 0.78, -0.92, -0.88, -0.84, -0.78)),
    ("differentiation", (0.92, 0.84, -0.92, -0.84)),
    ("", (0.0,) * 12),
)
GENES = tuple(
    Gene(f"SYNG{number:02}", driver, correlation)
    for number, (driver, correlation) in enumerate(
        [(driver, value) for driver, values in _CORRELATIONS for value in values], start=1
    )
)
"""SYNG01 to SYNG08 follow the inflammation, SYNG09 to SYNG12 the differentiation."""
MUTATIONS = (
    Mutation("SYNM1", "inflammation", 4.0, 0.44),
    Mutation("SYNM2", "differentiation", -4.0, 0.47),
    Mutation("SYNM3", "", 0.0, 0.42),
    Mutation("SYNM4", "", 0.0, 0.44),
    Mutation("SYNM5", "", 0.0, 0.47),
    Mutation("SYNM6", "", 0.0, 0.5),
)


_REFERENCE = 200_000
"""Simulated patients of the first cohort's kind, by whose latents thresholds are set."""


def simulate_expression(states: HiddenStates, seed: int, genes_seed: int | None = None) -> Numbers:
    """Expression of `GENES`: a level of its own, the driver's part, and normal noise.

    Args:
        states: The patients.
        seed: Seed of levels and noise.
        genes_seed: Seed of levels alone, of a cohort that has them in common with this one.

    Returns:
        (P, len(GENES)) like log2(TPM + 1), none below 0.
    """
    rng = np.random.default_rng([seed if genes_seed is None else genes_seed, 21])
    level = rng.uniform(4.5, 9.0, len(GENES))
    spread = rng.uniform(0.5, 1.1, len(GENES))
    if genes_seed is not None:
        rng = np.random.default_rng([seed, 26])
    noise = rng.normal(size=(len(states), len(GENES)))
    share = np.array([gene.correlation for gene in GENES])
    driven = np.stack(
        [states.score(g.driver) if g.driver else np.zeros(len(states)) for g in GENES], axis=1
    )
    standard = share * driven + np.sqrt(1 - share**2) * noise
    values: Numbers = np.maximum(level + spread * standard, 0)
    return values


def simulate_mutations(states: HiddenStates, seed: int) -> npt.NDArray[np.int64]:
    """Draw which patients carry which of `MUTATIONS`.

    A logistic model as a latent variable: the driver's part plus logistic noise, positive above
    the level that `prevalence` asks for.

    Args:
        states: The patients.
        seed: Seed of the noise.

    Returns:
        (P, len(MUTATIONS)) of 0 and 1.
    """
    rng = np.random.default_rng([seed, 22])
    carried = np.zeros((len(states), len(MUTATIONS)), np.int64)
    for column, mutation in enumerate(MUTATIONS):
        latent = rng.logistic(size=len(states))
        if mutation.driver:
            latent += mutation.log_odds * states.score(mutation.driver)
        carriers = round(mutation.prevalence * len(states))
        carried[np.argsort(-latent)[:carriers], column] = 1
    return carried


def draw_mutations(states: HiddenStates, seed: int) -> npt.NDArray[np.int64]:
    """Draw carriers by the model of `simulate_mutations`, with the thresholds of its cohorts.

    A threshold is where `prevalence` lies among patients of uniform states; how many of these
    patients carry a mutation depends on theirs.

    Args:
        states: The patients.
        seed: Seed of the noise.

    Returns:
        (P, len(MUTATIONS)) of 0 and 1.
    """
    rng, usual = np.random.default_rng([seed, 27]), np.random.default_rng(28)
    uniform = (usual.random(_REFERENCE) - 0.5) * np.sqrt(12)
    noise = usual.logistic(size=_REFERENCE)
    carried = np.zeros((len(states), len(MUTATIONS)), np.int64)
    for column, mutation in enumerate(MUTATIONS):
        threshold = np.quantile(noise + mutation.log_odds * uniform, 1 - mutation.prevalence)
        latent = rng.logistic(size=len(states))
        if mutation.driver:
            latent += mutation.log_odds * states.score(mutation.driver)
        carried[:, column] = latent > threshold
    return carried
