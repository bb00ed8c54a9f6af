"""Where the frames of one DICOM file lie, and which tile each is.

The rules are those of libdicom, which OpenSlide reads DICOM with.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from histo_ray.slides.direct.dicom_file import (
    BIG_LENGTHS,
    BIG_OFFSETS,
    ITEM,
    PIXELS,
    UNDEFINED,
    DicomFile,
    Element,
)
from histo_ray.slides.direct.layout import MAX_TILE_BYTES, UnrecognisedError
from histo_ray.types import Size

SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_CLASS, _SYNTAX, _GROUP_LENGTH = 0x00020002, 0x00020010, 0x00020000
_PER_FRAME, _PLANE_POSITION = 0x52009230, 0x0048021A
_COLUMN, _ROW = 0x0048021E, 0x0048021F
_TEXTS = {
    0x00080008: "image_type",
    0x00080018: "instance",
    0x0020000E: "series",
    0x00209161: "concatenation",
    0x00209311: "organisation",
    0x00280004: "photometric",
}
_NUMBERS = {
    0x00280002: "samples",
    0x00280006: "planar",
    0x00280008: "frames",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280100: "allocated",
    0x00280101: "stored",
    0x00280102: "high_bit",
    0x00280103: "signed",
    0x00480006: "width",
    0x00480007: "height",
    0x00480303: "planes",
}
_MOST_TILES = 2**24


@dataclass
class DicomImage:
    """What one file says of itself."""

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    elements: dict[int, Element] = field(default_factory=dict)
    """The elements that tell where the frames are."""
    syntax: str = ""

    @property
    def flavour(self) -> str:
        """`VOLUME` for a level, else what picture it is."""
        parts = self.texts.get("image_type", "").split("\\")
        return parts[2].strip() if len(parts) > 2 else ""

    @property
    def size(self) -> Size:
        """(width, height) of the level."""
        return self.numbers.get("width", 0), self.numbers.get("height", 0)

    @property
    def tile(self) -> Size:
        """(width, height) of a frame."""
        return self.numbers.get("columns", 0), self.numbers.get("rows", 0)


def read_image(file: BinaryIO) -> DicomImage | None:
    """Read what a file says of its tiles; None if it is no DICOM slide.

    Raises:
        UnrecognisedError: It is one that is not as this reader knows it.
    """
    head = file.read(132)
    if head[128:] != b"DICM":
        return None
    dicom, image = DicomFile(file), DicomImage()
    group = next(dicom.elements(132, dicom.size), None)
    if group is None or group.tag != _GROUP_LENGTH:
        raise UnrecognisedError("a DICOM file without the length of its first group")
    begins = group.at + 4 + dicom.integer(group)
    meta = {element.tag: element for element in dicom.elements(group.at + 4, begins)}
    if _CLASS not in meta or dicom.text(meta[_CLASS]) != SLIDE_CLASS:
        return None
    image.syntax = dicom.text(meta[_SYNTAX]) if _SYNTAX in meta else ""
    if image.syntax != JPEG_BASELINE:
        return image  # whose elements may be written otherwise
    for element in dicom.elements(begins, dicom.size):
        if element.tag in _TEXTS:
            image.texts[_TEXTS[element.tag]] = dicom.text(element)
        elif element.tag in _NUMBERS:
            image.numbers[_NUMBERS[element.tag]] = dicom.integer(element)
        elif element.tag in (_PER_FRAME, PIXELS, BIG_OFFSETS, BIG_LENGTHS):
            image.elements[element.tag] = element
    return image


def index_frames(
    file: BinaryIO, image: DicomImage
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(rows, columns) of tiles: where the item of each begins, and its bytes; 0 if it is missing.

    Raises:
        UnrecognisedError: Frames of several fragments, or between tiles, or an index that is wrong.
    """
    dicom = DicomFile(file)
    count = image.numbers.get("frames", 0)
    if min(*image.tile, *image.size) < 1:
        raise UnrecognisedError(f"frames of {image.tile} px of an image of {image.size} px")
    columns, rows = (-(-whole // edge) for whole, edge in zip(image.size, image.tile, strict=True))
    if not 0 < columns * rows <= _MOST_TILES or not 0 < count <= columns * rows:
        raise UnrecognisedError(f"{count} frames of {columns} x {rows} tiles")
    starts, sizes = _find_frames(dicom, image, count)
    tiles = np.arange(count)
    if _PER_FRAME in image.elements:
        tiles = _read_positions(dicom, image, count, columns)
    full = image.texts.get("organisation", "") == "TILED_FULL"
    if len(np.unique(tiles)) != count or (tiles < 0).any() or (tiles >= columns * rows).any():
        raise UnrecognisedError("two frames of one tile")
    if full and count != columns * rows:
        raise UnrecognisedError("a full grid of tiles with some missing")
    if not full and _PER_FRAME not in image.elements:
        raise UnrecognisedError("a sparse grid of tiles without their positions")
    offsets, counts = np.zeros((2, columns * rows), np.int64)
    offsets[tiles], counts[tiles] = starts, sizes
    return offsets.reshape(rows, columns), counts.reshape(rows, columns)


def _find_frames(
    dicom: DicomFile, image: DicomImage, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the item of each frame begins, and its bytes with its header."""
    pixels = image.elements.get(PIXELS)
    if pixels is None or pixels.size != UNDEFINED:
        raise UnrecognisedError("pixels that are not in fragments")
    tag, size = dicom.item_header(pixels.at)
    if tag != ITEM or size % 4:
        raise UnrecognisedError("pixels without an offset table")
    base = pixels.at + 8 + size
    if BIG_OFFSETS in image.elements:
        starts = _read_table(dicom, image.elements[BIG_OFFSETS], "<u8", count) + base
    elif size:
        table = Element(PIXELS, b"OB", pixels.at + 8, size)
        starts = _read_table(dicom, table, "<u4", count) + base
    else:
        starts = np.fromiter(_walk_items(dicom, base, count), np.int64, count)
    last = int(starts[-1])
    tag, size = dicom.item_header(last)
    if starts[0] != base or tag != ITEM or size > MAX_TILE_BYTES:
        raise UnrecognisedError("an offset table that leads elsewhere")
    sizes = np.diff(starts, append=last + 8 + size)
    if (sizes <= 8).any() or (sizes > MAX_TILE_BYTES).any() or last + 8 + size > dicom.size:
        raise UnrecognisedError("frames that do not follow each other")
    tag, _ = dicom.item_header(last + 8 + size)
    if tag == ITEM:
        raise UnrecognisedError("a frame of several fragments")
    return starts, sizes


def _read_table(dicom: DicomFile, table: Element, kind: str, count: int) -> npt.NDArray[np.int64]:
    numbers = np.frombuffer(dicom.value(table), kind)
    if len(numbers) != count or (numbers > dicom.size).any():
        raise UnrecognisedError("an offset table of another length")
    return numbers.astype(np.int64)


def _walk_items(dicom: DicomFile, at: int, count: int) -> Iterator[int]:
    """Where each of `count` items begins, from one to the next."""
    for _ in range(count):
        tag, size = dicom.item_header(at)
        if tag != ITEM or size == UNDEFINED:
            raise UnrecognisedError("fewer fragments than frames")
        yield at
        at += 8 + size


def _read_positions(
    dicom: DicomFile, image: DicomImage, count: int, columns: int
) -> npt.NDArray[np.int64]:
    """Number of the tile, row by row, that each frame is."""
    places = []
    for start, end in dicom.items(image.elements[_PER_FRAME]):
        place: dict[int, int] = {}
        for group in dicom.elements(start, end, 1):
            if group.tag == _PLANE_POSITION:
                for inner, stop in dicom.items(group, 1):
                    place |= {
                        element.tag: dicom.integer(element)
                        for element in dicom.elements(inner, stop, 2)
                        if element.tag in (_COLUMN, _ROW)
                    }
        places.append((place.get(_COLUMN, 0), place.get(_ROW, 0)))
    if len(places) != count or min(min(place) for place in places) < 1:
        if not any(any(place) for place in places):
            return np.arange(count)  # said of no frame, so they are in order
        raise UnrecognisedError("frames without a position")
    found = np.array(places, np.int64) - 1
    if (found % image.tile).any() or (found[:, 0] >= image.size[0]).any():
        raise UnrecognisedError("frames between tiles")
    return found[:, 0] // image.tile[0] + found[:, 1] // image.tile[1] * columns
