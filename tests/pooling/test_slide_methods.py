"""Methods of slide encoders: the contract, and each against its published formula."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm
from sklearn.covariance import ledoit_wolf

from histo_ray.errors import ConfigError
from histo_ray.pooling.slide_encoders.base import FittedMethod, SlideMethod
from histo_ray.pooling.slide_encoders.methods.covariance import RANK, CovarianceEncoder, project
from histo_ray.pooling.slide_encoders.methods.fisher import FisherEncoder
from histo_ray.pooling.slide_encoders.methods.mixture import PRIOR, MixtureEncoder
from histo_ray.pooling.slide_encoders.methods.vlad import VladEncoder, sum_residuals
from histo_ray.pooling.slide_encoders.mixture_model import MixtureModel
from histo_ray.pooling.slide_encoders.reduction import Reduction
from histo_ray.pooling.slide_encoders.registry import FITTED, METHODS, find_fitted
from tests.pooling.slide_method_contract import (
    DIM,
    SETTINGS,
    FittedMethodContract,
    SlideMethodContract,
    tiles_of,
)

Doubles = npt.NDArray[np.float64]


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.name)
class TestEveryMethod(SlideMethodContract):
    """Methods without a fit."""

    @pytest.fixture(autouse=True)
    def _choose(self, kind: type[SlideMethod]) -> None:
        self.kind = kind  # type: ignore[misc]


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.name)
class TestEveryFittedMethod(FittedMethodContract):
    """Methods with a fit."""

    @pytest.fixture(autouse=True)
    def _choose(self, kind: type[FittedMethod]) -> None:
        self.kind = kind  # type: ignore[misc]


def test_the_covariance_is_the_square_root_of_the_shrunk_one() -> None:
    tiles = tiles_of(90)
    found = CovarianceEncoder().encode(tiles)
    rows, columns = np.triu_indices(DIM)
    root = np.zeros((DIM, DIM))
    root[rows, columns] = found / np.where(rows == columns, 1, np.sqrt(2))
    root = np.maximum(root, root.T) + np.minimum(root, root.T) - np.diag(np.diag(root))
    np.testing.assert_allclose(root @ root, ledoit_wolf(tiles.astype(np.float64))[0], rtol=1e-3)
    assert float(found @ found) == pytest.approx(np.trace(root @ root), rel=1e-4)


def test_wide_tiles_are_projected_by_directions_that_see_no_data() -> None:
    wide = np.random.default_rng(2).standard_normal((40, 3 * RANK)).astype(np.float32)
    found = project(wide)
    assert found.shape == (40, RANK)
    whole = project(np.eye(3 * RANK, dtype=np.float32))
    np.testing.assert_allclose(whole.T @ whole, np.eye(RANK), atol=1e-9)
    np.testing.assert_allclose(found, wide @ whole, atol=1e-5)
    assert CovarianceEncoder().encode(wide).shape == (RANK * (RANK + 1) // 2,)


def test_components_keep_the_directions_of_most_variance() -> None:
    tiles = tiles_of(500)
    reduction = Reduction.fit(tiles, 3)
    values = reduction.apply(tiles)
    assert values.shape == (500, 3)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-6)
    assert values.var(axis=0).sum() == pytest.approx(1)
    spectrum = np.linalg.svd(tiles - tiles.mean(axis=0), compute_uv=False)[:3] ** 2
    np.testing.assert_allclose(
        values.var(axis=0) / values.var(), spectrum / spectrum.mean(), rtol=1e-3
    )
    with pytest.raises(ConfigError, match=r"have 6 columns, and the slide encoder was fitted on 7"):
        reduction.apply(tiles[:, :6])


def test_vlad_sums_what_lies_between_a_tile_and_its_nearest_prototype() -> None:
    values = np.array([[0.0, 1.0], [0.2, 0.9], [5.0, 5.0]])
    prototypes = np.array([[0.0, 0.0], [4.0, 6.0], [-9.0, 9.0]])
    plain = [[0.2, 1.9], [1.0, -1.0], [0.0, 0.0]]
    np.testing.assert_allclose(sum_residuals(values, prototypes), plain, atol=1e-12)
    found = VladEncoder.fit(tiles_of(300), SETTINGS).encode(tiles_of(40))
    assert found.shape == (SETTINGS.prototypes * SETTINGS.components,)
    assert float(np.linalg.norm(found)) == pytest.approx(1, abs=1e-5)


def likelihood(values: Doubles, mixture: MixtureModel) -> float:
    """Mean log-likelihood of values, written out."""
    density = np.zeros(len(values))
    for weight, mean, variance in zip(*mixture, strict=True):
        density += weight * norm.pdf(values, mean, np.sqrt(variance)).prod(axis=1)
    return float(np.log(density).mean())


def test_fisher_is_the_scaled_gradient_of_the_likelihood() -> None:
    encoder = FisherEncoder.fit(tiles_of(400, seed=8), SETTINGS)
    arrays = encoder.list_arrays()
    mixture = MixtureModel.from_arrays(arrays)
    values = Reduction.from_arrays(arrays).apply(tiles_of(25))
    step = 1e-5

    def slope(change: Callable[[float], MixtureModel]) -> float:
        above, below = likelihood(values, change(step)), likelihood(values, change(-step))
        return (above - below) / (2 * step)

    plain = np.empty((2, *mixture.means.shape))
    for at in np.ndindex(*mixture.means.shape):
        unit = np.zeros_like(mixture.means)
        unit[at] = 1
        sd = np.sqrt(mixture.variances)
        root = np.sqrt(mixture.weights[at[0]])
        by_mean = slope(lambda h: mixture._replace(means=mixture.means + h * unit))  # noqa: B023
        by_sd = slope(
            lambda h: mixture._replace(variances=np.square(sd + h * unit))  # noqa: B023
        )
        plain[0][at] = by_mean * sd[at] / root
        plain[1][at] = by_sd * sd[at] / (root * np.sqrt(2))
    rooted = np.sign(plain) * np.sqrt(np.abs(plain))
    expected = rooted.reshape(-1) / np.linalg.norm(rooted)
    np.testing.assert_allclose(encoder.encode(tiles_of(25)), expected, atol=2e-3)


def test_a_mixture_without_tiles_of_a_component_keeps_its_prior() -> None:
    encoder = MixtureEncoder.fit(tiles_of(400, seed=8), SETTINGS)
    prior = MixtureModel.from_arrays(encoder.list_arrays())
    values = Reduction.from_arrays(encoder.list_arrays()).apply(tiles_of(30))
    found = encoder.encode(tiles_of(30)).astype(np.float64)
    k, d = prior.means.shape
    shares, means, variances = found[:k], found[k : k + k * d], found[k + k * d :]
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    for one in range(k):  # every sum written out
        weights = [
            prior.weights[one] * norm.pdf(v, prior.means[one], np.sqrt(prior.variances[one])).prod()
            for v in values
        ]
        every = [
            sum(
                prior.weights[c] * norm.pdf(v, prior.means[c], np.sqrt(prior.variances[c])).prod()
                for c in range(k)
            )
            for v in values
        ]
        own = np.array(weights) / np.array(every)
        total = own.sum() + PRIOR
        mean = (own @ values + PRIOR * prior.means[one]) / total
        square = own @ values**2 + PRIOR * (prior.variances[one] + prior.means[one] ** 2)
        np.testing.assert_allclose(means.reshape(k, d)[one], mean, rtol=1e-3, atol=1e-5)
        expected = np.maximum(square / total - mean**2, 1e-6)
        np.testing.assert_allclose(variances.reshape(k, d)[one], expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.name)
def test_too_few_tiles_say_what_to_do(kind: type[FittedMethod]) -> None:
    with pytest.raises(ConfigError, match=r"7 tiles to fit 4 prototypes .* fewer --prototypes"):
        kind.fit(tiles_of(7), SETTINGS)


def test_a_mistyped_method_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'flad' is unknown; choose vlad, .*did you mean .*vlad"):
        find_fitted("flad")
