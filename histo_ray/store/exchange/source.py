"""What features of another tool are: files of slides, their geometry and their vectors. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.types import Size

Scalar = str | int | float | bool | list[int] | list[float]
"""An attribute as a receipt keeps it."""
Stated = Mapping[str, Scalar]

Coords = npt.NDArray[np.integer] | npt.NDArray[np.floating]


@dataclass(frozen=True)
class SourceSlide:
    """The files that one tool wrote on one slide with one encoder."""

    name: str
    """Slide as the tool names it: as a rule its file's name without suffix."""
    files: tuple[Path, ...]
    """Files and folders that are read, the one with the vectors first."""
    part: str = ""
    """What of the first file, where it holds several encoders; empty: all of it."""
    problem: str = ""
    """Why its files cannot be read, where their names tell; empty: they may be."""


@dataclass(frozen=True)
class FeatureSet:
    """All slides below a folder that one encoder was run on."""

    encoder: str
    """Encoder as the tool, or its folder, names it; empty where nothing does."""
    slides: tuple[SourceSlide, ...]


@dataclass(frozen=True)
class TileGeometry:
    """Size and scale of a slide's tiles as far as the source states them; None where it does not.

    Nothing here is worked out from a magnification.
    """

    tile_px: int | None = None
    """Edge of a tile at the resolution that it was encoded at."""
    side_px: tuple[float, float] | None = None
    """(width, height) of a tile in level-0 px."""
    side_um: float | None = None
    """Edge of a tile in microns."""
    tile_mpp: float | None = None
    """Microns per px that the tiles were asked for at."""
    slide_mpp: float | None = None
    """Microns per px of level 0."""
    size_px: Size | None = None
    """(width, height) of level 0."""
    magnification: float | None = None
    """Magnification that the tiles were asked for at."""
    stride_px: float | None = None
    """Step between tiles, at the resolution of `tile_px`."""
    level: int = -1
    """Level read."""
    slide_path: str = ""
    """Where the tool read the slide from."""


class VectorArray(Protocol):
    """Vectors that stay in their file until rows are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows from `start` up to `stop`, (n, D)."""


@dataclass(frozen=True)
class ArrayVectors:
    """Vectors in memory, or mapped into it."""

    values: npt.NDArray[np.generic]
    """(N, D)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""
        return self.values.dtype

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Rows from `start` up to `stop`, (n, D)."""
        return self.values[start:stop]


@dataclass(frozen=True)
class SourceTiles:
    """The tiles of one slide, open for reading."""

    vectors: VectorArray
    """(N, D)."""
    coords: Coords
    """(N, 2) top-left (x, y)."""
    geometry: TileGeometry
    in_microns: bool = False
    """Whether coords are in microns; else in level-0 px."""
    tissue: npt.NDArray[np.float32] | None = None
    """(N,) tissue fraction, 0..1; None where it was not measured."""
    stated: Stated = field(default_factory=dict)
    """Attributes of the source, as they stand there."""


class ImportLayout(Protocol):
    """Reads features as one tool lays them out; knows neither stores nor slides' pixels."""

    @property
    def name(self) -> str:
        """How it is asked for: `--from <name>`."""

    @property
    def reads(self) -> str:
        """What it is, in a few words, for the help of the command line."""

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Features below a folder, by encoder, found by names and the first file that opens.

        Args:
            folder: Local folder.
            coords: Folder of coordinates, where the tool keeps them elsewhere.
            asked: Whether the user named this layout: files that could be of several are its own.

        Returns:
            Nothing where the folder is not laid out so.
        """

    def open(self, slide: SourceSlide) -> AbstractContextManager[SourceTiles]:
        """Open the files of a slide.

        Raises:
            SlideError: They lack something or contradict each other. What libraries raise on
                damaged files may pass; `import_slide.SOURCE_ERRORS` lists it.
        """


def name_slides(files: Mapping[str, list[Path]]) -> Iterator[SourceSlide]:
    """One slide a name, in order; of a name with several files none can be chosen. Pure."""
    for name in sorted(files):
        paths = sorted(files[name])
        others = ", ".join(str(path) for path in paths[:3])
        problem = "" if len(paths) == 1 else f"{len(paths)} files of this name ({others})"
        yield SourceSlide(name, (paths[0],), problem=problem)
