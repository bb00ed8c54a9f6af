"""Describes the tiles of a fine-tuning for the card, so that no later evaluation tests on them."""

import numpy as np

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.published import read_card
from histo_ray.finetune.training_tiles import Rows
from histo_ray.store.location import location_of
from histo_ray.store.trained_on import (
    DIGITS,
    TrainedOn,
    hash_patient,
    join_trained_on,
    read_trained_on,
)
from histo_ray.tilesets.near_duplicates import hash_contrasted
from histo_ray.tilesets.tile_traits import shrink_tiles
from histo_ray.tilesets.tileset import TileSet

_Part = tuple[TileSet, Rows, bool]


def describe_trained_on(
    train: TileSet, train_rows: Rows, held_out: TileSet | None, held_rows: Rows, base: EncoderSpec
) -> TrainedOn:
    """Describe the tiles that were trained on or held out, and those of the base before them.

    Args:
        train: The set that was trained on; its files are decoded once more.
        train_rows: Rows of it.
        held_out: The set that held-out tiles are from; None without any.
        held_rows: Rows of it.
        base: Spec of the encoder that was fine-tuned; of one that was published, its own tiles
            count, too.

    Raises:
        ConfigError: A file has gone or changed.
        StoreError: The base's own list is damaged.
    """
    parts: list[_Part] = [(train, train_rows, False)]
    if held_out is not None:
        parts.append((held_out, held_rows, True))
    found = [_describe(*part) for part in parts if len(part[1])]
    if base.published is not None and base.published_name is not None:
        card = read_card(base.published, base.published_name)
        before = None if card is None else read_trained_on(location_of(base.published), card)
        found += [] if before is None else [before]
    return join_trained_on(found)


def _describe(tiles: TileSet, rows: Rows, held_out: bool) -> TrainedOn:
    groups = tiles.groups or ("",) * len(tiles)
    return TrainedOn(
        digests=tuple(tiles.digests[row][:DIGITS] for row in rows.tolist()),
        picture_hashes=hash_contrasted(shrink_tiles(tiles, rows.tolist())),
        patients=tuple(hash_patient(groups[row]) for row in rows.tolist()),
        held_out=np.full(len(rows), held_out),
    )
