"""Groups of tiles whose patients are unknown, inferred from what their pixels show.

Random folds put tiles of one slide into training and test parts, and a slide's stain alone then
tells the classes of its tiles. Inferred groups keep together what looks like one slide.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.tilesets.colour_clusters import (
    FEWEST_CLUSTERS,
    MOST_POINTS,
    SILHOUETTE_POINTS,
    TRIED,
    cluster_colours,
)
from histo_ray.tilesets.image import Pixels
from histo_ray.tilesets.near_duplicates import (
    HASH_BITS,
    LEAST_CORRELATION,
    LEAST_OVERLAP,
    NEIGHBOURS,
    OVERLAP_CORRELATION,
    Pairs,
    find_near_duplicates,
)
from histo_ray.tilesets.tile_traits import (
    BLOCK,
    THUMB_PX,
    TileTraits,
    join_traits,
    measure_traits,
    read_traits,
)
from histo_ray.tilesets.tileset import TileSet

GROUPS_VERSION = 1
"""Raised whenever the code infers other groups from the same tiles."""

Groups = npt.NDArray[np.int64]


@dataclass(frozen=True)
class InferredGroups:
    """Groups of N tiles, and what led to them."""

    groups: Groups
    """(N,) numbered from 0 on in the order of their first tile."""
    pairs: Pairs
    """(E, 2) near-duplicates; never in two groups."""
    seed: int
    fewest: int = FEWEST_CLUSTERS
    """Clusters of a class at least."""

    @property
    def count(self) -> int:
        """Groups."""
        return int(self.groups.max()) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """(N,) name of each tile's group; sorted like the numbers."""
        width = len(str(self.count))
        return tuple(f"inferred-{group:0{width}}" for group in self.groups.tolist())

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the groups and of the settings that they were inferred with."""
        return digest(
            {"groups": self.groups.tolist(), "settings": describe_settings(self.seed, self.fewest)}
        )


def infer_groups(
    tiles: TileSet | Iterable[Pixels], labels: npt.NDArray[np.integer], seed: int = 0
) -> Groups:
    """Infer which tiles may be of one slide.

    Tiles are clustered by stain and colour within their class, clusters of different classes are
    joined where the stain is the same, and near-duplicates (copies, turned copies, overlapping
    crops) are never in two groups. Deterministic given the seed; about 15 s of CPU for 5,000 tiles
    of 224 px.

    Args:
        tiles: A tile set, whose files are decoded once, or (n, px, px, 3) uint8 RGB batches of
            consecutive tiles.
        labels: (N,) class of each tile; of a set: `TileSet.labels`.
        seed: Of the random numbers (k-means in classes of more than 2,000 tiles, samples of the
            silhouette).

    Returns:
        (N,) group of each tile, numbered from 0 on in the order of their first tile. Each class has
        five groups at least where it has so many different tiles and no near-duplicates tie them.

    Raises:
        ConfigError: A file has gone or changed, or there is no tile.
        ValueError: Other numbers of tiles and labels.
    """
    traits = read_traits(tiles) if isinstance(tiles, TileSet) else measure_batches(tiles)
    return group_tiles(traits, labels, seed).groups


def measure_batches(batches: Iterable[Pixels]) -> TileTraits:
    """Measure tiles that are given as (n, px, px, 3) uint8 RGB batches.

    Raises:
        ConfigError: There is no tile.
    """
    return join_traits(
        measure_traits(batch[start : start + BLOCK])
        for batch in batches
        for start in range(0, len(batch), BLOCK)
    )


def group_tiles(
    traits: TileTraits,
    labels: npt.NDArray[np.integer],
    seed: int = 0,
    fewest: int = FEWEST_CLUSTERS,
) -> InferredGroups:
    """Infer groups from traits. Pure.

    Args:
        traits: Of N tiles.
        labels: (N,) class of each.
        seed: See `infer_groups`.
        fewest: Clusters of a class at least, so that so many folds can be filled.

    Raises:
        ValueError: Other numbers of tiles and labels.
    """
    if len(traits) != len(labels):
        raise ValueError(f"{len(traits)} tiles and {len(labels)} labels; each tile needs one")
    pairs = find_near_duplicates(traits.thumbs, scale(traits.colours))
    colours = np.concatenate([traits.colours[:, 6:], traits.stains[:, :6]], axis=1)
    groups = cluster_colours(colours, traits.stains[:, 6:], labels, pairs, seed, fewest)
    return InferredGroups(groups, pairs, seed, fewest)


def scale(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Standardise columns; constant ones become 0."""
    spread = values.std(axis=0)
    scaled: npt.NDArray[np.float32] = (values - values.mean(axis=0)) / np.where(
        spread > 0, spread, 1
    ).astype(np.float32)
    return scaled


def describe_settings(seed: int, fewest: int = FEWEST_CLUSTERS) -> dict[str, float | int]:
    """All that decides inferred groups beside the tiles."""
    return {
        "version": GROUPS_VERSION,
        "seed": seed,
        "thumb_px": THUMB_PX,
        "hash_bits": HASH_BITS,
        "least_correlation": LEAST_CORRELATION,
        "least_overlap": LEAST_OVERLAP,
        "overlap_correlation": OVERLAP_CORRELATION,
        "neighbours": NEIGHBOURS,
        "fewest_clusters": fewest,
        "most_points": MOST_POINTS,
        "silhouette_points": SILHOUETTE_POINTS,
        "tried": TRIED,
    }
