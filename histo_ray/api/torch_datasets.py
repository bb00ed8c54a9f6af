"""Torch datasets over a store: bags by index, tiles as a stream.

Both are pickled into the workers of a `DataLoader`, where they read files by themselves.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from histo_ray.pooling.pooled_cache import By
from histo_ray.store.location import Location
from histo_ray.store.slide_tiles import SlideTiles, StoredSlide, read_slide_tiles


class Tiles(TypedDict, total=False):
    """Some tiles, or one without the first axis."""

    slide_id: str | list[str]
    slide_ids: list[str]
    patient_id: str | list[str]
    slide: torch.Tensor
    """(N,) int32, which of `slide_ids` each tile is of; in bags of patients."""
    tile_id: torch.Tensor
    """(N,) int32."""
    coords: torch.Tensor
    """(N, 2) int32 top-left (x, y), level-0 px."""
    tissue: torch.Tensor
    """(N,) float32, 0..1."""
    embeddings: torch.Tensor
    """(N, D) float16 or float32."""


class BagDataset(Dataset[Tiles]):
    """All tiles of a slide or patient by its number."""

    def __init__(self, root: Location, slides: Sequence[StoredSlide], by: By) -> None:
        """Name the bags; nothing is read.

        Args:
            root: The store.
            slides: What there is.
            by: What a bag is.
        """
        self._root = root
        self._by = by
        self._groups: dict[str, list[StoredSlide]] = {}
        for slide in slides:
            name = slide.partition.key.slide_id if by == "slide" else slide.patient_id
            self._groups.setdefault(name, []).append(slide)
        self.names = list(self._groups)
        """slide_id or patient_id of each bag."""
        self.tiles = [sum(s.partition.tiles for s in group) for group in self._groups.values()]
        """Number of tiles of each bag."""

    def __len__(self) -> int:
        """Number of bags."""
        return len(self.names)

    def __getitem__(self, index: int) -> Tiles:
        """One bag.

        Raises:
            StoreError: A partition is damaged.
        """
        group = self._groups[self.names[index]]
        read = [read_slide_tiles(self._root, slide) for slide in group]
        bags = [_to_tensors(tiles) for tiles in read]
        if self._by == "slide":
            return {**_names_of(group[0]), **bags[0]}
        counts = torch.tensor([len(tiles.coords) for tiles in read])
        return {
            "patient_id": group[0].patient_id,
            "slide_ids": [slide.partition.key.slide_id for slide in group],
            "slide": torch.arange(len(read), dtype=torch.int32).repeat_interleave(counts),
            "tile_id": torch.cat([bag["tile_id"] for bag in bags]),
            "coords": torch.cat([bag["coords"] for bag in bags]),
            "tissue": torch.cat([bag["tissue"] for bag in bags]),
            "embeddings": torch.cat([bag["embeddings"] for bag in bags]),
        }


class TileStream(IterableDataset[Tiles]):
    """Tiles of all slides, one by one or in batches; memory holds one slide a worker."""

    def __init__(
        self,
        root: Location,
        slides: Sequence[StoredSlide],
        batch_size: int | None,
        seed: int | None,
    ) -> None:
        """Name the tiles; nothing is read.

        Args:
            root: The store.
            slides: What there is; workers share them out.
            batch_size: Tiles of a batch; None: single tiles.
            seed: Of the order; None: as stored.
        """
        self._root = root
        self._slides = slides
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        """Number of tiles, or of batches; a batch is of one slide, so workers change nothing."""
        size = self._batch_size or 1
        return sum(-(-slide.partition.tiles // size) for slide in self._slides)

    def set_epoch(self, epoch: int) -> None:
        """Shuffle otherwise from now on; called before a loader's workers start."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Tiles]:
        """Tiles, or batches of tiles of one slide each.

        Raises:
            StoreError: A partition is damaged.
        """
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        order = np.arange(len(self._slides))
        if self._seed is not None:
            order = np.random.default_rng([self._seed, self._epoch]).permutation(order)
        for number in order[first::step].tolist():
            yield from self._cut(number)

    def _cut(self, number: int) -> Iterator[Tiles]:
        """The tiles of one slide."""
        slide = self._slides[number]
        tensors = _to_tensors(read_slide_tiles(self._root, slide))
        count = slide.partition.tiles
        if self._seed is not None:
            random = np.random.default_rng([self._seed, self._epoch, number])
            rows = torch.from_numpy(random.permutation(count))
            tensors = _take(tensors, rows)
        names = _names_of(slide)
        if self._batch_size is None:
            for row in range(count):
                yield {**names, **_take(tensors, row)}
            return
        for start in range(0, count, self._batch_size):
            cut = slice(start, min(count, start + self._batch_size))
            size = cut.stop - cut.start
            yield {
                "slide_id": [slide.partition.key.slide_id] * size,
                "patient_id": [slide.patient_id] * size,
                **_take(tensors, cut),
            }


def _names_of(slide: StoredSlide) -> Tiles:
    return {"slide_id": slide.partition.key.slide_id, "patient_id": slide.patient_id}


def _to_tensors(tiles: SlideTiles) -> Tiles:
    """Tensors on the arrays' own memory."""
    return {
        "tile_id": torch.from_numpy(tiles.tile_ids),
        "coords": torch.from_numpy(tiles.coords),
        "tissue": torch.from_numpy(np.require(tiles.tissue, requirements="W")),
        "embeddings": torch.from_numpy(tiles.embeddings),
    }


def _take(tensors: Tiles, rows: int | slice | torch.Tensor) -> Tiles:
    return {
        "tile_id": tensors["tile_id"][rows],
        "coords": tensors["coords"][rows],
        "tissue": tensors["tissue"][rows],
        "embeddings": tensors["embeddings"][rows],
    }
