"""What every slide encoder of ours keeps: the contract that each method is held against."""

from typing import ClassVar

import numpy as np
import pytest

from histo_ray.pooling.slide_encoders.base import FittedMethod, SlideMethod, SlideSettings
from histo_ray.store.half_floats import Float32s

DIM = 7
SETTINGS = SlideSettings(seed=3, prototypes=4, components=5)


def tiles_of(count: int, seed: int = 1) -> Float32s:
    """Tiles about three centres; no column is like another."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((3, DIM)) * 4
    noise = random.standard_normal((count, DIM)) * [1, 3, 0.1, 2, 1, 0.5, 1]
    return (centres[random.integers(0, 3, count)] + noise).astype(np.float32)


class SlideMethodContract:
    """Held by every method; a subclass makes it."""

    kind: ClassVar[type[SlideMethod]]

    def make(self) -> SlideMethod:
        """The method, ready to encode."""
        return self.kind()

    def test_it_says_what_it_is(self) -> None:
        assert all((self.kind.name, self.kind.published_as, self.kind.about))

    def test_vectors_are_finite_float32_of_one_length(self) -> None:
        method = self.make()
        vectors = [method.encode(tiles_of(count)) for count in (1, 2, 33, 700)]
        assert {vector.dtype for vector in vectors} == {np.dtype(np.float32)}
        assert len({vector.shape for vector in vectors}) == 1
        assert vectors[0].ndim == 1
        assert all(np.isfinite(vector).all() for vector in vectors)

    def test_the_order_of_tiles_has_no_meaning_and_every_tile_counts(self) -> None:
        method, tiles = self.make(), tiles_of(41)
        found = method.encode(tiles)
        turned = method.encode(np.ascontiguousarray(tiles[::-1]))
        np.testing.assert_allclose(found, turned, rtol=1e-4, atol=1e-6)
        for row in (0, 40):
            other = tiles.copy()
            other[row] += 9
            assert not np.allclose(method.encode(other), found, rtol=1e-4, atol=1e-6), row

    def test_identical_tiles_are_no_error(self) -> None:
        assert np.isfinite(self.make().encode(np.repeat(tiles_of(1), 6, axis=0))).all()

    def test_the_same_bits_twice(self) -> None:
        tiles = tiles_of(64)
        assert self.make().encode(tiles).tobytes() == self.make().encode(tiles).tobytes()


class FittedMethodContract(SlideMethodContract):
    """Held by every method that is fitted first."""

    kind: ClassVar[type[FittedMethod]]

    def make(self) -> SlideMethod:
        """Fit on other tiles than are encoded."""
        return self.kind.fit(tiles_of(400, seed=8), SETTINGS)

    def test_it_is_the_same_from_its_arrays(self) -> None:
        method, tiles = self.make(), tiles_of(30)
        again = self.kind.from_arrays(method.list_arrays())
        assert again.encode(tiles).tobytes() == method.encode(tiles).tobytes()

    def test_another_seed_fits_another_one(self) -> None:
        other = SETTINGS.model_copy(update={"seed": 4, "prototypes": 9})
        one = self.kind.fit(tiles_of(400, seed=8), other.model_copy(update={"seed": 5}))
        two = self.kind.fit(tiles_of(400, seed=8), other)
        assert not np.array_equal(one.encode(tiles_of(30)), two.encode(tiles_of(30)))

    def test_arrays_that_do_not_fit_each_other_are_refused(self) -> None:
        arrays = self.make().list_arrays()
        with pytest.raises(KeyError):
            self.kind.from_arrays({k: v for k, v in arrays.items() if k != "directions"})
        with pytest.raises(ValueError, match="do not fit"):
            self.kind.from_arrays(arrays | {"mean": arrays["mean"][:-1]})
