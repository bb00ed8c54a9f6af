"""Find, read and write HDF5 files of vectors and coords, one a slide, as most layouts have them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.store.exchange.hdf5_file import (
    Hdf5Vectors,
    find_vectors,
    open_hdf5,
    read_attributes,
)
from histo_ray.store.exchange.source import (
    ArrayVectors,
    Coords,
    Scalar,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    VectorArray,
)
from histo_ray.store.exchange.straight_rows import find_straight
from histo_ray.types import Receipt, TileRows

DEPTH = 4
"""Folders that are looked into below the one that is named."""


@dataclass(frozen=True)
class RawFeatures:
    """Vectors and coords of an open file, and its attributes."""

    vectors: VectorArray
    coords: Coords
    """(N, 2 or more)."""
    stated: Stated

    def as_tiles(self, geometry: TileGeometry, in_microns: bool = False) -> SourceTiles:
        """The tiles, with what the attributes mean."""
        corners = self.coords[:, :2] if len(self.coords) else np.zeros((0, 2), np.int32)
        return SourceTiles(self.vectors, corners, geometry, in_microns, stated=self.stated)


def find_folders(folder: Path, pattern: str) -> list[Path]:
    """The folder and those below it that hold files of a pattern, in order; no hidden ones."""
    found, top = [], len(folder.parts)
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if len(Path(place).parts) - top >= DEPTH:
            below.clear()
        if any(fnmatch(name, pattern) and not name.startswith(".") for name in names):
            found.append(Path(place))
    return sorted(found)


def list_by_name(folder: Path, suffix: str, below: bool = False) -> dict[str, list[Path]]:
    """The files of a folder with a suffix, by their names without it; hidden ones do not count."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob(f"*{suffix}") if below else folder.glob(f"*{suffix}")):
        if not path.name.startswith("."):
            files.setdefault(path.name.removesuffix(suffix), []).append(path)
    return files


@contextmanager
def read_features(
    slide: SourceSlide, vectors: str, coords: str = "coords"
) -> Iterator[RawFeatures]:
    """Open the datasets of a slide's file; attributes of file, vectors and coords are merged.

    Raises:
        SlideError: One is missing, or coords are not one (x, y) a vector.
    """
    with open_hdf5(slide.files[0]) as file:
        stored, places = (require(slide, file, name) for name in (vectors, coords))
        straight = find_straight(places, slide.files[0])
        corners = np.asarray(places[()] if straight is None else straight.read(0, len(places)))
        found = check_shapes(slide, stored, corners)
        if isinstance(found, Hdf5Vectors):
            found = replace(found, straight=find_straight(stored, slide.files[0]))
        yield RawFeatures(found, corners, _merge_attributes(file, stored, places, vectors))


def _merge_attributes(file: Any, stored: Any, places: Any, name: str) -> dict[str, Scalar]:
    """Attributes of a file and its datasets; where both datasets have one, that of coords stands.

    What the vectors say otherwise stands beside, as `features.savetodir`.
    """
    merged, own = read_attributes(file, stored, places), read_attributes(stored)
    others = {f"{name}.{key}": value for key, value in own.items() if merged[key] != value}
    return merged | others


def require(slide: SourceSlide, file: Any, name: str) -> Any:
    """A dataset of an open file.

    Raises:
        SlideError: It is not there, or something else is.
    """
    found = file.get(name)
    if found is None or not hasattr(found, "shape"):
        there = ", ".join(sorted(file)[:8]) or "nothing"
        raise SlideError(
            slide.name,
            f"{slide.files[0].name} has no dataset {name} (it has {there}); it is of another "
            "layout, or was not finished: extract the slide again",
        )
    return found


def check_shapes(slide: SourceSlide, stored: Any, corners: npt.NDArray[Any]) -> VectorArray:
    """Vectors that have one (x, y) each.

    Raises:
        SlideError: Shapes that do not fit each other.
    """
    if stored.ndim == 1 and not len(stored):  # an empty slide whose length nobody knew
        vectors: VectorArray = ArrayVectors(np.zeros((0, 0), stored.dtype))
    else:
        count = len(corners) if corners.ndim == 2 else None
        try:
            vectors = find_vectors(stored, count)
        except ValueError as error:
            raise SlideError(slide.name, f"{slide.files[0].name}: {error}") from None
    count = vectors.shape[0]
    if not count and not corners.size:
        return vectors
    if corners.ndim != 2 or corners.shape[1] < 2 or len(corners) != count:
        raise SlideError(
            slide.name,
            f"{slide.files[0].name}: coords have the shape {corners.shape} beside {count} "
            "vectors, where each needs an (x, y); extract the slide again",
        )
    return vectors


@dataclass(frozen=True)
class FileParts:
    """How a slide is laid out in one HDF5 file of two datasets."""

    vectors: str
    """Name of the dataset of vectors; the other one is `coords`."""
    coords_dtype: str
    attributes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By dataset; those of the file under ""."""
    vectors_dtype: str | None = None
    """None: as stored."""
    resizable: bool = False
    """Whether rows can be appended: chunks of one row, as CLAM and TRIDENT write them."""
    place: Callable[[npt.NDArray[np.int32]], Coords] = lambda coords: coords
    """Turns coords from level-0 px into what the layout has."""


def write_features(
    path: Path, rows: Iterable[TileRows], receipt: Receipt, parts: FileParts
) -> None:
    """Write a slide as one HDF5 file; memory holds a block of rows.

    Raises:
        StoreError: From `rows`, where the partition cannot be read.
    """
    count, dim = receipt.tile_count, receipt.encoder.dim
    with open_hdf5(path, "x") as file:
        kind = parts.vectors_dtype or receipt.encoder.dtype
        vectors = _create(file, parts.vectors, (count, dim), kind, parts.resizable)
        coords = _create(file, "coords", (count, 2), parts.coords_dtype, parts.resizable)
        start = 0
        for block in rows:
            stop = start + len(block)
            vectors[start:stop] = block.embeddings
            coords[start:stop] = parts.place(block.coords)
            start = stop
        for name, values in parts.attributes.items():
            (file[name] if name else file).attrs.update(dict(values))


def _create(file: Any, name: str, shape: tuple[int, int], dtype: str, resizable: bool) -> Any:
    """Create a dataset of rows; with chunks of one row if it shall be resizable."""
    if not resizable or not shape[1]:
        return file.create_dataset(name, shape, dtype)
    return file.create_dataset(name, shape, dtype, chunks=(1, shape[1]), maxshape=(None, shape[1]))
