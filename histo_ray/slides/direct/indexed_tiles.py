"""JPEG tiles that the file has an index of: where each begins, and its bytes."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from histo_ray.slides.direct.jpeg import NO_HEADER, UnusualJpegError, read_header
from histo_ray.slides.direct.layout import Fetch, Jpeg
from histo_ray.types import Size

_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_BYTES = 8


class IndexedTiles:
    """One JPEG a tile, whose tables and colours the file may state once for all."""

    def __init__(
        self,
        tile: Size,
        index: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        *,
        rgb: bool,
        tables: bytes = b"",
        items: bool = False,
    ) -> None:
        """Note where the tiles are; nothing is read.

        Args:
            tile: (width, height) of each.
            index: (rows, columns) where each begins in the file, and its bytes; 0 if it is missing.
            rgb: Whether tiles hold RGB; else YCbCr.
            tables: JPEG tables that tiles share, from `join_tables`.
            items: Whether each is an item of a DICOM sequence, whose header comes first.
        """
        self.tile = tile
        self.offsets, self.counts = index
        self.rgb = rgb
        self.tables = tables
        self.items = items
        self._header = NO_HEADER

    @property
    def columns(self) -> int:
        """Tiles across."""
        return int(self.counts.shape[1])

    @cached_property
    def complete(self) -> bool:
        """Whether no tile is missing."""
        return bool(self.counts.all())

    def ranges(self, column: int, row: int) -> list[tuple[int, int]]:
        """See `TileCodes`."""
        size = int(self.counts[row, column])
        return [(int(self.offsets[row, column]), size)] if size else []

    def read_jpeg(self, fetch: Fetch, column: int, row: int) -> Jpeg | None:
        """See `TileCodes`; the header of the last tile is tried first."""
        found = self.ranges(column, row)
        if not found:
            return None
        data = fetch(*found[0])
        if self.items:
            data = _strip_item(data)
        whole = self._header.restate(data)
        if whole is None:
            header = read_header(data, self.tables, self.tile, rgb=self.rgb)
            self._header = header
            whole = header.restated + data[len(header.stated) :]
        return Jpeg(whole, self.tile)


def _strip_item(data: bytes) -> bytes:
    """What an item of a DICOM sequence holds, if it is one and ends where the next begins."""
    if data[:4] != _ITEM or int.from_bytes(data[4:8], "little") != len(data) - _ITEM_BYTES:
        raise UnusualJpegError("a frame that is not one item")
    return data[_ITEM_BYTES:]
