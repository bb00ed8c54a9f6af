"""LazySlide: one SpatialData folder a slide, `tables/<encoder>_<tiles>` and `shapes/<tiles>`.

Sources: rendeirolab/wsidata at 3aac963, `wsidata/io/_elems.py: add_tiles, add_features` (tables
joined to shapes by `tile_id`; `x`, `y` in level-0 px), rendeirolab/LazySlide at 2dbdc42,
`src/lazyslide/_const.py: Key.feature`; AnnData's on-disk format for the tables. Read with zarr
itself; checked against folders written by wsidata 0.12.0 and spatialdata 0.7.3 (Zarr v3).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.errors import SlideError
from histo_ray.store.exchange.feature_file import DEPTH, check_shapes
from histo_ray.store.exchange.slide2vec import flatten
from histo_ray.store.exchange.source import FeatureSet, SourceSlide, SourceTiles
from histo_ray.store.exchange.tile_spec import PROPERTIES, SPEC, read_tile_spec

_open_group = deferred("zarr:open_group")
_read_schema = deferred("pyarrow.parquet:read_schema")
_read_table = deferred("pyarrow.parquet:read_table")
_SUFFIX = ".zarr"
_ROOT = ("zarr.json", ".zattrs", ".zgroup")
"""Files of a group's own metadata, of Zarr 3 and 2."""


@dataclass(frozen=True)
class ZarrVectors:
    """A Zarr array of vectors, (N, D)."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""
        kind: np.dtype[np.generic] = self.array.dtype
        return kind

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows from `start` up to `stop`, (n, D)."""
        return np.asarray(self.array[start:stop])


class LazySlide:
    """Tables of tile features of wsidata and LazySlide."""

    name = "lazyslide"
    reads = "a folder of <slide>.zarr as LazySlide (wsidata, SpatialData) writes them"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each name of a table that a slide has."""
        stores = [path for path in _find_stores(folder) if (path / "tables").is_dir()]
        names = sorted({table.name for path in stores for table in _list_tables(path)})
        return [
            FeatureSet(name, tuple(_slide(path, name) for path in sorted(stores))) for name in names
        ]

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Rows are put in the order of the table, and their coords are found by `tile_id`."""
        root = _open_group(str(slide.files[0].parent.parent), mode="r")
        if f"tables/{slide.part}" not in root:
            raise SlideError(slide.name, f"has no table {slide.part}; extract its features first")
        table = root[f"tables/{slide.part}"]
        region = str(table.attrs.get("region", ""))
        stored = table["X"]
        if not hasattr(stored, "shape"):
            raise SlideError(slide.name, f"table {slide.part} is sparse; features are dense")
        corners = _find_corners(slide, region, np.asarray(table["obs/tile_id"][:]))
        check_shapes(slide, stored, corners)
        spec = root.attrs.get(SPEC, {}).get(region, {})
        about = root.attrs.get(PROPERTIES, {})
        stated = {**flatten(spec, f"{SPEC}."), **flatten(_plain(about), f"{PROPERTIES}.")}
        geometry = read_tile_spec(spec, about)
        yield SourceTiles(ZarrVectors(stored), corners, geometry, stated=stated)


def _find_stores(folder: Path) -> Iterator[Path]:
    """Zarr folders at or below a folder; their insides are not looked into."""
    if folder.suffix == _SUFFIX:
        yield folder
        return
    places = [folder]
    for _ in range(DEPTH):
        inner = [one for place in places for one in sorted(place.iterdir()) if one.is_dir()]
        yield from (one for one in inner if one.suffix == _SUFFIX)
        places = [one for one in inner if one.suffix != _SUFFIX and not one.name.startswith(".")]


def _list_tables(store: Path) -> list[Path]:
    return [path for path in sorted((store / "tables").iterdir()) if (path / "X").is_dir()]


def _slide(store: Path, table: str) -> SourceSlide:
    root = [store / name for name in _ROOT if (store / name).is_file()]
    return SourceSlide(
        store.name.removesuffix(_SUFFIX), (store / "tables" / table, store / "shapes", *root), table
    )


def _find_corners(
    slide: SourceSlide, region: str, tile_ids: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """(N, 2) top-left (x, y) in level-0 px of the tiles of a table.

    Raises:
        SlideError: No such tiles.
    """
    path = slide.files[1] / region / "shapes.parquet"
    if not region or not path.is_file():
        raise SlideError(slide.name, f"table {slide.part} is of tiles {region!r}, not in shapes/")
    columns = [name for name in ("x", "y", "tile_id") if name in _read_schema(path).names]
    if "x" not in columns or "y" not in columns:
        raise SlideError(slide.name, f"tiles {region} have no columns x and y")
    shapes = _read_table(path, columns=columns)
    corners = np.stack([shapes["x"].to_numpy(), shapes["y"].to_numpy()], axis=1)
    known = shapes["tile_id"].to_numpy() if "tile_id" in columns else np.arange(len(corners))
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known, tile_ids, sorter=order)
    found = order[np.minimum(at, max(0, len(order) - 1))] if len(order) else at
    if len(tile_ids) and (not len(order) or not np.array_equal(known[found], tile_ids)):
        raise SlideError(slide.name, f"table {slide.part} has tile_ids that tiles {region} lack")
    places: npt.NDArray[np.integer] = corners[found] if len(tile_ids) else corners[:0]
    return places


def _plain(about: Mapping[str, object]) -> dict[str, object]:
    """Properties without the slide's raw metadata."""
    return {name: value for name, value in about.items() if name != "raw"}
