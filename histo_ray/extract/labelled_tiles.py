"""One labelled tile set from files to partition; tiles are encoded as they are given."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from histo_ray.config import TileSetConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.extract.resume import LOOKUPS, Agenda, kept_reason, other_precision
from histo_ray.extract.slide import SubjectPlan, TileBlock
from histo_ray.extract.tile_reader import Pixels
from histo_ray.extract.work import SubjectWork, row_of
from histo_ray.store.store import Store
from histo_ray.tiles.quality import measure_focus
from histo_ray.tilesets.tileset import TileSet, load_tiles
from histo_ray.types import Outcome, PartitionKey, SlideFacts, TileGrid, TilingFacts


@dataclass(frozen=True)
class TileSetSubject:
    """A labelled tile set as the subject of a run."""

    tiles: TileSet
    patient_id: str = ""
    """Its tiles have patients of their own: the column `group`."""
    site: str = ""

    @property
    def slide_id(self) -> str:
        """Name of its partitions."""
        return self.tiles.name

    @property
    def extra(self) -> Mapping[str, Any]:
        """Nothing: labels of tiles are kept in the partition."""
        return {}

    @property
    def synthetic(self) -> bool:
        """Whether its table marks any tile as synthetic."""
        return self.tiles.synthetic


class TileSetReader:
    """Reads the tiles of labelled sets."""

    def __init__(self, config: TileSetConfig) -> None:
        self._config = config

    def plan(self, subject: TileSetSubject) -> SubjectPlan:
        """List the tiles of a set."""
        return plan_tileset(subject.tiles, self._config)

    def read(
        self, subject: TileSetSubject, plan: SubjectPlan, span: range, into: Pixels | None = None
    ) -> TileBlock:
        """Read the tiles of `span` (tile_ids), into memory that is given if any is.

        Raises:
            SlideError: A file has gone or changed since the set was read; it costs its set, not
                the run.
        """
        del plan
        try:
            pixels = load_tiles(subject.tiles, span, threads=1, check=True)
        except ConfigError as error:
            raise SlideError(subject.slide_id, str(error)) from None
        if into is not None:
            into[:] = pixels
            pixels = into
        return TileBlock(pixels, measure_focus(pixels))

    def close(self) -> None:
        """Nothing stays open."""


def plan_tileset(tiles: TileSet, config: TileSetConfig) -> SubjectPlan:
    """Plan a tile set: every tile as it is given, without coordinates and tissue fraction.

    Returns:
        A plan whose coords are 0 and whose tissue fractions are nan: neither is known.
    """
    px, count = float(tiles.tile_px), len(tiles)
    grid = TileGrid(
        tiles.name, np.zeros((count, 2), np.int32), np.full(count, np.nan, np.float32), (px, px)
    )
    texts = {"label": np.array(tiles.label_names, np.str_)}
    if tiles.groups is not None:
        texts["group"] = np.array(tiles.groups, np.str_)
    return SubjectPlan(
        _receipt_source(tiles, config), _receipt_tiling(tiles, config), grid, None, "", texts=texts
    )


def _receipt_source(tiles: TileSet, config: TileSetConfig) -> SlideFacts:
    """The receipt's part on where tiles come from: for a set, what is not known is 0 or empty."""
    mpp = config.mpp or 0.0
    return SlideFacts(
        slide_id=tiles.name,
        patient_id="",
        site="",
        path=_shared_folder(tiles),
        fingerprint=tiles.digest,
        size_px=(0, 0),
        mpp=(mpp, mpp),
        mpp_source="flag" if config.mpp else "unknown",
        reader="tiles",
        vendor="",
    )


def _receipt_tiling(tiles: TileSet, config: TileSetConfig) -> TilingFacts:
    """The receipt's part on how tiles were cut: they were not, and are read as they are."""
    px, mpp = float(tiles.tile_px), config.mpp or 0.0
    return TilingFacts(
        fingerprint=config.fingerprint(),
        settings={"tiles": "as given", "tile_px": tiles.tile_px, "mpp": mpp},
        level=0,
        downsample=(1.0, 1.0),
        side=(px, px),
        realised_mpp=(mpp, mpp),
        tissue_method="none",
        tissue_digest="",
    )


def plan_sets(
    tilesets: Sequence[TileSet], names: Sequence[str], store: Store, config: TileSetConfig
) -> Agenda:
    """Compare tile sets with a store.

    Args:
        tilesets: The sets.
        names: Encoders, by their names in the store.
        store: Where partitions are.
        config: The run.

    Raises:
        ConfigError: Sets that differ from what the store has under their names, all at once.
    """
    tiling = config.fingerprint()
    keys = [PartitionKey(n, tiling, tiles.name) for tiles in tilesets for n in names]
    with ThreadPoolExecutor(LOOKUPS) as pool:
        there = [
            key for key, found in zip(keys, pool.map(store.exists, keys), strict=True) if found
        ]
    receipts = store.receipts(there)
    agenda = Agenda([], [])
    changed: dict[str, list[str]] = {}
    for tiles in tilesets:
        subject, missing = TileSetSubject(tiles), []
        for name in names:
            receipt = receipts.get(PartitionKey(name, tiling, tiles.name))
            same = receipt is not None and receipt.slide.fingerprint == tiles.digest
            otherwise = other_precision(receipt, config) if receipt else ""
            if receipt is None or (config.replace_changed and (otherwise or not same)):
                missing.append(name)
            elif same:
                reason, count = kept_reason(otherwise), receipt.tile_count
                agenda.rows.append(row_of(subject, name, Outcome.SKIPPED, reason, count))
                agenda.kept[otherwise] += 1
            else:
                changed.setdefault(tiles.name, []).append(name)
        if missing:
            agenda.todo.append(SubjectWork(subject, tuple(missing)))
    if changed:
        found = "; ".join(f"{name} (of {', '.join(by)})" for name, by in changed.items())
        raise ConfigError(
            f"tile sets {found}: the store has other tiles, labels or groups under the same "
            "name; give "
            "the new set another name, or replace the stored one with --replace-changed"
        )
    return agenda


def settle_size(config: TileSetConfig, tilesets: Sequence[TileSet]) -> TileSetConfig:
    """`config` with the tile size of the sets.

    Raises:
        ConfigError: No set, two of one name, or sets of several sizes.
    """
    if not tilesets:
        raise ConfigError("no tile set is given; name at least one")
    for name, times in Counter(tiles.name for tiles in tilesets).items():
        if times > 1:
            raise ConfigError(
                f"{times} tile sets are called {name}; rename the folders or tables so that they "
                "differ"
            )
    sizes = sorted({tiles.tile_px for tiles in tilesets} | ({config.tile_px} - {0}))
    if len(sizes) > 1:
        found = " and ".join(f"{size} px" for size in sizes)
        raise ConfigError(
            f"the tile sets have tiles of {found}, and one run takes one size; run them one by one"
        )
    return config.model_copy(update={"tile_px": sizes[0]})


def _shared_folder(tiles: TileSet) -> str:
    """The folder that all tiles of a set share."""
    first, last = tiles.paths[0], tiles.paths[-1]
    shared = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[:shared].rpartition("/")[0] or first
