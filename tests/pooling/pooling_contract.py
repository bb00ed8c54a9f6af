"""What every pooling keeps: the contract that each member of the registry is held against."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from histo_ray.pooling.base import PoolingMethod
from histo_ray.pooling.class_weights import ClassHead, class_probabilities
from histo_ray.pooling.quantiles import Spread
from histo_ray.pooling.registry import parse_pooling
from histo_ray.store.half_floats import Float32s, widen
from histo_ray.store.partition_vectors import TilePiece
from histo_ray.types import Floats

CLASSES = ("ADI", "STR", "TUM")
DIM = 5


class MadeUpTiles(NamedTuple):
    """Tiles in memory, cut into pieces; `GroupTiles` without a store."""

    vectors: Floats
    tissue: Float32s
    size: int
    """Tiles a piece."""
    head: ClassHead

    @property
    def classes(self) -> tuple[str, ...]:
        return self.head.classes

    @property
    def class_encoder(self) -> str:
        return "ft"

    @property
    def spread(self) -> Spread:
        return map

    def read_pieces(self) -> Iterator[TilePiece]:
        for start in range(0, len(self.vectors), self.size):
            cut = slice(start, start + self.size)
            coords = np.zeros((len(self.vectors[cut]), 2), np.int32)
            yield TilePiece(start, coords, self.tissue[cut], widen(self.vectors[cut]))

    def read_classified(self) -> Iterator[tuple[TilePiece, Float32s]]:
        for piece in self.read_pieces():
            yield piece, class_probabilities(self.head, piece.vectors)

    def read_bags(self) -> list[Floats]:
        half = len(self.vectors) // 2
        return [bag for bag in (self.vectors[:half], self.vectors[half:]) if len(bag)]


def tiles_of(count: int, size: int = 17, seed: int = 5) -> MadeUpTiles:
    """Tiles as float16; no column is like another."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, DIM)) * [1, 3, 0.1, 9, 2] + [0, -4, 7, 1, 0.5]
    head = ClassHead(
        CLASSES,
        random.standard_normal((3, DIM), np.float32) / np.float32(8),
        np.array([0.5, 0.0, -0.25], np.float32),
    )
    tissue = (random.random(count) * 0.9 + 0.1).astype(np.float32)
    return MadeUpTiles(vectors.astype(np.float16), tissue, size, head)


def pool(method: PoolingMethod, tiles: MadeUpTiles) -> Float32s:
    """The vector of tiles that have some weight."""
    vector = method.pool(tiles).vector
    assert vector is not None, method.name
    return vector


class PoolingContract:
    """Held by every pooling; a subclass names the texts by which it is asked for."""

    texts: Sequence[str]

    def methods(self) -> list[PoolingMethod]:
        return [parse_pooling(text) for text in self.texts]

    def test_its_name_is_read_as_itself(self) -> None:
        for text, method in zip(self.texts, self.methods(), strict=True):
            assert str(method) == method.name
            assert parse_pooling(method.name) == method
            assert parse_pooling(text).name == method.name

    def test_no_other_name_is_taken_for_it(self) -> None:
        for method in self.methods():
            for text in ("", " ", method.name.upper(), method.name + "x y", "sum"):
                found = type(method).parse(text)
                assert found is None or found.name != method.name

    def test_a_vector_has_the_width_that_was_promised(self) -> None:
        for method in self.methods():
            found = pool(method, tiles_of(60))
            assert found.dtype == np.float32
            assert found.shape == (method.width(DIM, len(CLASSES) if method.needs_head else 0),)
            assert np.isfinite(found).all()

    def test_how_tiles_are_cut_into_pieces_does_not_matter(self) -> None:
        for method in self.methods():
            whole = pool(method, tiles_of(60, size=60))
            for size in (1, 7, 59):
                cut = pool(method, tiles_of(60, size=size))
                np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)

    def test_the_order_of_tiles_does_not_matter(self) -> None:
        tiles = tiles_of(60)
        order = np.random.default_rng(0).permutation(60)
        other = tiles._replace(vectors=tiles.vectors[order], tissue=tiles.tissue[order])
        for method in self.methods():
            one, two = pool(method, tiles), pool(method, other)
            np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)

    def test_every_tile_counts(self) -> None:
        tiles = tiles_of(60, size=13)
        for at in (0, 59):
            vectors = tiles.vectors.copy()
            vectors[at] = 30000
            for method in self.methods():
                one = pool(method, tiles)
                two = pool(method, tiles._replace(vectors=vectors))
                assert (two != one).any(), (method.name, at)

    def test_one_tile_is_enough(self) -> None:
        for method in self.methods():
            found = method.pool(tiles_of(1))
            assert found.vector is None or np.isfinite(found.vector).all()

    @pytest.mark.parametrize("bad", [np.inf, np.nan])
    def test_what_is_not_finite_is_not_hidden_from_its_column(self, bad: float) -> None:
        tiles = tiles_of(60)
        tiles.vectors[:, 1] = bad
        for method in self.methods():
            found = method.pool(tiles).vector
            assert found is None or not np.isfinite(found).all()

    def test_weights_of_tiles_are_those_of_the_pooled_vector(self) -> None:
        tiles = tiles_of(60, size=13)
        for method in self.methods():
            weighed = method.weigh_tiles(tiles)
            if weighed is None:
                continue
            pieces = [(piece.vectors, weights) for piece, weights in weighed]
            vectors = np.concatenate([one for one, _ in pieces]).astype(np.float64)
            weights = method.settle_weights(np.concatenate([one for _, one in pieces], axis=1))
            means = (weights @ vectors) / weights.sum(axis=1, dtype=np.float64)[:, None]
            np.testing.assert_allclose(means.reshape(-1), pool(method, tiles), rtol=1e-4, atol=1e-5)

    def test_leaving_out_a_tile_is_pooling_the_others(self) -> None:
        tiles = tiles_of(23)
        for method in self.methods():
            parts = method.pool_without_each(tiles.vectors.astype(np.float64))
            for at in range(23) if parts else ():
                kept = np.delete(np.arange(23), at)
                rest = tiles._replace(vectors=tiles.vectors[kept], tissue=tiles.tissue[kept])
                found = np.concatenate([part[at] for part in parts])
                np.testing.assert_allclose(found, pool(method, rest), rtol=1e-5, atol=1e-5)
