"""HDF5 files of other tools: attributes, vectors by blocks, and files whose bytes repeat.

h5py is imported at the first file; it comes with the extra `histo-ray[hdf5]`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.store.exchange.source import Scalar
from histo_ray.store.exchange.straight_rows import StraightRows

_open_file = deferred("h5py:File")
PROBED = 5
"""Files that are tried where the first ones do not open."""
_LONGEST = 300
"""Characters of an attribute that are kept."""


@dataclass(frozen=True)
class Hdf5Vectors:
    """A dataset of vectors, (N, D); an axis of length 1 before or after N is left out."""

    dataset: Any
    axis: int
    """Axis of the dataset that counts tiles."""
    straight: StraightRows | None = None
    """Where rows lie in the file, where HDF5 need not be asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""
        return int(self.dataset.shape[self.axis]), int(self.dataset.shape[-1])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""
        kind: np.dtype[np.generic] = self.dataset.dtype
        return kind

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows from `start` up to `stop`, (n, D)."""
        if self.straight is not None:
            return self.straight.read(start, stop)
        if self.dataset.ndim == 2:
            rows = self.dataset[start:stop]
        else:
            rows = self.dataset[0, start:stop] if self.axis else self.dataset[start:stop, 0]
        return np.asarray(rows)


@contextmanager
def open_hdf5(path: Path, mode: str = "r") -> Iterator[Any]:
    """An open `h5py.File`.

    Raises:
        ConfigError: h5py is not installed.
        OSError: It cannot be opened, as when it was cut off.
    """
    try:
        file = _open_file(path, mode)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{path.name} is HDF5, and h5py is not installed; pip install 'histo-ray[hdf5]'"
        ) from error
    try:
        yield file
    finally:
        file.close()


def probe_files(paths: list[Path]) -> Iterator[Any]:
    """The first of some files that opens, or nothing: damaged ones are one slide's fate each."""
    for path in paths[:PROBED]:
        try:
            with open_hdf5(path) as file:
                yield file
                return
        except OSError:
            continue


def find_vectors(dataset: Any, count: int | None) -> Hdf5Vectors:
    """A dataset as (N, D) vectors.

    Args:
        dataset: Of shape (N, D), (N, 1, D), (1, N, D), or (0,): no tile, and no length known.
        count: Tiles by their coords; None where there are none.

    Raises:
        ValueError: It has another shape.
    """
    shape = dataset.shape
    if len(shape) == 2:
        return Hdf5Vectors(dataset, 0)
    if len(shape) == 3 and shape[1] == 1:
        return Hdf5Vectors(dataset, 0)
    if len(shape) == 3 and shape[0] == 1 and shape[1] == count:
        return Hdf5Vectors(dataset, 1)
    raise ValueError(f"{dataset.name} has the shape {shape}, not (tiles, numbers)")


def read_attributes(*holders: Any) -> dict[str, Scalar]:
    """Attributes of a file, group or dataset as JSON; texts are cut, arrays must be short."""
    found: dict[str, Scalar] = {}
    for holder in holders:
        for name, value in holder.attrs.items():
            plain = to_scalar(value)
            if plain is not None:
                found[str(name)] = plain
    return found


def to_scalar(value: Any) -> Scalar | None:
    """A value as a receipt can keep it; None for others and for what stands for nothing."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return None if value == "None" else value[:_LONGEST]
    if isinstance(value, np.ndarray | tuple | list):
        flat = np.asarray(value).reshape(-1)
        if flat.dtype.kind not in "iuf" or not 0 < flat.size <= 8:
            return None
        listed: list[int] | list[float] = flat.tolist()
        return listed
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float) else None


def number(stated: Mapping[str, object], name: str) -> float | None:
    """A positive finite number among attributes; None where it is missing or no such number."""
    value = stated.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None


def whole(stated: Mapping[str, object], name: str) -> int | None:
    """As `number`, where it is whole."""
    found = number(stated, name)
    return int(found) if found is not None and found == int(found) else None
