"""Labelled tiles that a condition keeps: the others are as if they had never been there."""

from collections.abc import Iterator, Mapping, Sequence

from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.where_record import KeptRecord, WhereRecord
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import choose_keys, find_tile_set
from histo_ray.store.partition_vectors import kept_of
from histo_ray.store.store import Store
from histo_ray.tilesets.tileset import TileSet
from histo_ray.types import KeptTiles, LabelledBag


def keep_tiles(
    store: Store, sets: Mapping[str, TileSet], encoders: Sequence[str], where: str
) -> tuple[dict[str, TileSet], WhereRecord]:
    """Reduce tile sets to the tiles that a condition keeps.

    Measures are of pixels, so they are the same whichever encoder's partition is asked.

    Args:
        store: Holds the sets.
        sets: By split.
        encoders: Names in the store.
        where: The condition.

    Raises:
        ConfigError: A class has no tile left.
        StoreError: Tiles were not measured so.
    """
    kept = {split: _choose(store, tiles, encoders[0], where) for split, tiles in sets.items()}
    some = {split: tiles.take(kept[split].rows) for split, tiles in sets.items()}
    counts = {
        tiles.name: KeptRecord(
            tiles=len(tiles), kept=len(kept[split].rows), sha256=kept[split].sha256
        )
        for split, tiles in sets.items()
    }
    return some, WhereRecord(text=where, encoders=counts)


def identify_kept(where: WhereRecord | None) -> dict[str, object]:
    """List what decides the tables beside what runs of all tiles have."""
    return {} if where is None else {"where": where.model_dump()}


def find_dropped(where: WhereRecord | None) -> Iterator[Caveat]:
    """Find what a condition drops of each set."""
    for name, kept in ({} if where is None else where.encoders).items():
        yield caveat(
            CaveatCode.TILES_DROPPED,
            encoder=name,
            where="" if where is None else where.text,
            dropped=kept.tiles - kept.kept,
            tiles=kept.tiles,
            slides=0,
            median=0.0,
            most=0.0,
            emptied=0,
            names=(),
        )


def fits_tiles(bag: LabelledBag, tiles: TileSet) -> bool:
    """Whether stored tiles have the labels that the files say."""
    if tiles.kept is None:
        return bag.labels == tiles.label_names
    ids = tiles.kept.tolist()
    return len(bag) > ids[-1] and tuple(bag.labels[at] for at in ids) == tiles.label_names


def _choose(store: Store, tiles: TileSet, encoder: str, where: str) -> KeptTiles:
    key = find_tile_set(store.root, tiles.name, encoder)
    forms = choose_keys(store.root, [key])
    kept = kept_of(choose_tiles(store.root, forms, store.receipts([key]), where)[key])
    if kept is None or not len(kept.rows) or kept.whole != len(tiles):
        raise ConfigError(
            f"tiles {tiles.name}: {where} keeps no tile of {len(tiles)}; loosen --where"
        )
    return kept
