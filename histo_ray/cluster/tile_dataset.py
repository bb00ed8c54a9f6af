"""The tiles of a store as a Ray Dataset: a task reads slides, one after the other."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from histo_ray.cluster.session import stay_connected  # sets Ray's environment before its import

# isort: split
import ray.data

from histo_ray.store.location import Location
from histo_ray.store.slide_tiles import StoredSlide, read_slide_tiles

MOST_BLOCKS = 1000
"""Blocks of the list of slides; a task reads the slides of one."""


def open_tile_dataset(
    root: Location, slides: Sequence[StoredSlide], vectors: bool, address: str = "local"
) -> "ray.data.Dataset":
    """Name the tiles of some slides as a Ray Dataset; nothing is read yet.

    Args:
        root: The store.
        slides: Whose tiles.
        vectors: Whether rows have their embeddings.
        address: Ray to connect to, as `stay_connected` takes it.

    Returns:
        One row a tile; `FeatureStore.to_ray` names the columns.

    Raises:
        ConfigError: No Ray there, or this machine cannot start one.
    """
    stay_connected(address)
    numbers = ray.data.range(len(slides), override_num_blocks=max(1, min(len(slides), MOST_BLOCKS)))
    read = partial(_read_slides, root=root, slides=list(slides), vectors=vectors)
    return numbers.map_batches(read, batch_size=1)


def _read_slides(
    batch: dict[str, Any], root: Location, slides: Sequence[StoredSlide], vectors: bool
) -> Iterator[dict[str, Any]]:
    """The tiles of the slides of some numbers, a block a slide."""
    for number in batch["id"].tolist():
        slide = slides[number]
        tiles = read_slide_tiles(root, slide, vectors)
        count = len(tiles.coords)
        yield {
            "slide_id": np.full(count, slide.partition.key.slide_id),
            "patient_id": np.full(count, slide.patient_id),
            "tile_id": tiles.tile_ids,
            "x": tiles.coords[:, 0].copy(),
            "y": tiles.coords[:, 1].copy(),
            "tissue": tiles.tissue,
            "focus": tiles.focus,
            **({"embedding": tiles.embeddings} if vectors else {}),
        }
