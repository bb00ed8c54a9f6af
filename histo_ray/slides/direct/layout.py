"""Where the tiles of a slide lie in its file, whatever the format. Each format has a module."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from histo_ray.slides.direct.region import Corner
from histo_ray.types import Size

MAX_TILE_PX = 2048
"""A longer edge of a tile is left to OpenSlide: decoded, one takes 12 MiB."""
MAX_TILE_BYTES = 32 * 2**20
"""A tile that takes more in the file is left to OpenSlide."""

Fetch = Callable[[int, int], bytes]
"""Reads from the file of a level: offset, and bytes."""


class UnrecognisedError(Exception):
    """What about a slide is not understood; OpenSlide has to read it."""


class ImpossibleError(UnrecognisedError):
    """A slide states what no file can be: OpenSlide would end the process over it."""


class Jpeg(NamedTuple):
    """A tile as a JPEG that stands alone."""

    data: bytes
    size: Size
    """(width, height) that it decodes to, once shrunk."""
    shrink: int = 1
    """By which factor it is shrunk when it is decoded: 1, 2, 4 or 8."""


class TileCodes(Protocol):
    """The encoded tiles of one image. Threads may share them."""

    @property
    def columns(self) -> int:
        """Tiles across."""

    @property
    def complete(self) -> bool:
        """Whether no tile is missing."""

    def ranges(self, column: int, row: int) -> list[tuple[int, int]]:
        """(offset, bytes) of what belongs to a tile; empty if it is missing."""

    def read_jpeg(self, fetch: Fetch, column: int, row: int) -> Jpeg | None:
        """One tile; None if it is missing.

        Raises:
            UnusualJpegError: Damaged or not of the usual kind.
        """


@dataclass(frozen=True)
class TileArray:
    """Tiles of one image in the file, and where that image lies in a level of the slide."""

    size: Size
    """(width, height) in px that the tiles show; what they have beyond is padding."""
    tile: Size
    """(width, height) of a tile; those of the last row may be less high."""
    codes: TileCodes
    first: Corner = (0, 0)
    """The px of the image from which on it is shown."""
    corner: Corner = (0, 0)
    """(x, y) in px of the level at which px (0, 0) of the image lies, shown or not."""
    file: int = 0
    """Which of the slide's files holds it."""

    @property
    def tile_bytes(self) -> int:
        """Bytes of a decoded tile."""
        return self.tile[0] * self.tile[1] * 3


@dataclass(frozen=True)
class Level:
    """One level of the pyramid, made of the images of one or several scanned areas."""

    size: Size
    arrays: tuple[TileArray, ...]
    """Where they overlap, the first one is shown."""
    usable: bool = True
    """Whether tiles are decoded here; else OpenSlide reads the level."""
    whole_px: bool = False
    """Whether OpenSlide places each area on whole px, and never between them."""

    @property
    def tile(self) -> Size:
        """(width, height) of a tile of the first area."""
        return self.arrays[0].tile

    @property
    def complete(self) -> bool:
        """Whether no tile is missing."""
        return all(array.codes.complete for array in self.arrays)


class Layout(NamedTuple):
    """All levels of a slide."""

    levels: tuple[Level, ...]
    files: tuple[str, ...] = ()
    """Paths of the files that `TileArray.file` counts; empty if the slide is one file."""
