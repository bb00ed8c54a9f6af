"""Strips of a Hamamatsu NDPI: what lies between two restart markers of one huge JPEG.

An NDPI stores a level as one JPEG, often larger than any decoder takes, with restart markers at
even distances. OpenSlide decodes each interval as a small JPEG of its own; here several intervals
below each other become one, with markers between them.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.slides.direct.jpeg import UnusualJpegError, read_segments
from histo_ray.slides.direct.layout import Fetch, Jpeg
from histo_ray.types import Size

_SOF0, _SOF1, _SOS, _DRI = 0xC0, 0xC1, 0xDA, 0xDD
_FRAMES = range(0xC0, 0xD0)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_DCT_PX = 8
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_END = b"\xff\xd9"


class StripHeader(NamedTuple):
    """The header of an NDPI's JPEG, up to its first scan."""

    data: bytes
    frame_at: int
    """Where the frame's segment begins in it."""
    size: Size
    """(width, height) as stated; larger images have a made-up one."""
    mcu: Size
    """(width, height) in px of a minimum coded unit."""
    restart_mcus: int
    """Units between two markers; 0 if there are none."""

    def resize(self, size: Size) -> bytes:
        """The header for an image of another size."""
        width, height = size
        at = self.frame_at + 5
        put = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        return self.data[:at] + put + self.data[at + 4 :]


def read_strip_header(data: bytes) -> StripHeader:
    """Parse the header of an NDPI's JPEG.

    Args:
        data: Its beginning.

    Raises:
        UnusualJpegError: Damaged, or not three channels of 8 bits in one sequential scan.
    """
    at, frame, restart = 2, b"", 0
    frame_at = 0
    for marker, segment in read_segments(data):
        if marker in _FRAMES and marker not in _NO_FRAMES:
            if frame or marker not in (_SOF0, _SOF1):
                raise UnusualJpegError(f"a JPEG of kind {marker:#x}")
            frame, frame_at = segment, at
        elif marker == _DRI:
            restart = int.from_bytes(segment[4:6], "big")
        elif marker == _SOS:
            break
        at += len(segment)
    if len(frame) != 19 or frame[4] != 8 or frame[9] != 3 or data[at : at + 5] != _SCAN:
        raise UnusualJpegError("a JPEG of other than three channels of 8 bits in one scan")
    factors = [(frame[place] >> 4, frame[place] & 15) for place in (11, 14, 17)]
    if not all(1 <= factor <= 4 for pair in factors for factor in pair):
        raise UnusualJpegError("a JPEG of unusual sampling")
    return StripHeader(
        data=data[: at + 14],
        frame_at=frame_at,
        size=(int.from_bytes(frame[7:9], "big"), int.from_bytes(frame[5:7], "big")),
        mcu=(_DCT_PX * max(h for h, _ in factors), _DCT_PX * max(v for _, v in factors)),
        restart_mcus=restart,
    )


_SCAN = b"\xff\xda\x00\x0c\x03"
"""How the header of a scan of three channels begins; it has 14 bytes."""


class StripTiles:
    """Restart intervals of one JPEG, several of one column to a tile."""

    complete = True

    def __init__(
        self,
        header: StripHeader,
        strip: Size,
        starts: npt.NDArray[np.int64],
        *,
        columns: int,
        group: int,
        shrink: int = 1,
    ) -> None:
        """Note where the intervals are; nothing is read.

        Args:
            header: Header of the JPEG.
            strip: (width, height) in px of an interval.
            starts: Where each begins in the file, row by row, and at last the file's end of it.
            columns: Intervals across.
            group: How many below each other are a tile.
            shrink: By which factor they are shrunk when they are decoded.
        """
        self.columns = columns
        self.shrink = shrink
        self._header = header
        self._strip = strip
        self._starts = starts
        self._rows = (len(starts) - 1) // columns
        self._band: tuple[int, int, bytes] | None = None
        self._group = group

    def ranges(self, column: int, row: int) -> list[tuple[int, int]]:
        """See `TileCodes`."""
        numbers = self._numbers(column, row)
        starts, ends = self._starts[numbers].tolist(), self._starts[numbers + 1].tolist()
        return [(start, end - start) for start, end in zip(starts, ends, strict=True)]

    def read_jpeg(self, fetch: Fetch, column: int, row: int) -> Jpeg:
        """See `TileCodes`; tiles beside each other are cut from one piece of the file."""
        numbers = self._numbers(column, row)
        base, band = self._read_band(fetch, row)
        starts, ends = self._starts[numbers] - base, self._starts[numbers + 1] - base
        _check_markers(band, starts[1:] if numbers[0] == 0 else starts)
        last = numbers[-1] + 2 == len(self._starts)
        _check_markers(band, ends[:-1] if last else ends)
        if last and band[-2:-1] != b"\xff":  # OpenSlide takes whatever follows for the end
            raise UnusualJpegError("a JPEG without an end")
        pieces = []
        for at, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            pieces.append(band[start : end - 2])
            pieces.append(_MARKERS[at % 8])
        pieces[-1] = _END
        scan = b"".join(pieces)
        if len(_RESTART.findall(scan)) != len(numbers) - 1:
            raise UnusualJpegError("restart markers elsewhere than the index says")
        width, height = self._strip[0], self._strip[1] * len(numbers)
        data = self._header.resize((width, height)) + scan
        return Jpeg(data, (width // self.shrink, height // self.shrink), self.shrink)

    def _numbers(self, column: int, row: int) -> npt.NDArray[np.int64]:
        """Numbers of the intervals of a tile, from top to bottom."""
        rows = np.arange(row * self._group, min((row + 1) * self._group, self._rows))
        return rows * self.columns + column

    def _read_band(self, fetch: Fetch, row: int) -> tuple[int, bytes]:
        """All intervals of a row of tiles, with the marker before them: where they begin, bytes."""
        band = self._band
        if band is None or band[0] != row:
            first = row * self._group * self.columns
            stop = min((row + 1) * self._group, self._rows) * self.columns
            base = int(self._starts[first]) - (2 if first else 0)
            band = row, base, fetch(base, int(self._starts[stop]) - base)
            self._band = band
        return band[1], band[2]


_MARKERS = [bytes((0xFF, 0xD0 + number)) for number in range(8)]


def _check_markers(data: bytes, places: npt.NDArray[np.int64]) -> None:
    """Refuse unless a restart marker ends at each place, as OpenSlide does."""
    codes = np.frombuffer(data, np.uint8)
    if len(places) and (
        places[-1] > len(codes)
        or (codes[places - 2] != 0xFF).any()
        or (codes[places - 1] & 0xF8 != 0xD0).any()
    ):
        raise UnusualJpegError("restart markers elsewhere than the index says")
