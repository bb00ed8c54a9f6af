"""What the layouts of makers' TIFFs share: parsing, texts, and what OpenSlide says of a slide."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import tifffile

from histo_ray.slides.direct.layout import Level, UnrecognisedError
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.types import Size

MOST_TEXT_BYTES = 2**26
"""A longer XML text is not parsed here."""


class KnownSlide(Protocol):
    """What OpenSlide says of a slide that it has opened."""

    @property
    def vendor(self) -> str:
        """OpenSlide's name for the maker."""

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        """(width, height) of each level."""

    @property
    def tile_sizes(self) -> tuple[Size, ...]:
        """(width, height) of a tile of each level; zeros where it states none."""

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Downsample of each level."""

    @property
    def regions(self) -> tuple[tuple[int, int, int, int], ...]:
        """(x, y, width, height) of each scanned area in level-0 px; empty if none is stated."""


@contextmanager
def parse_tiff(path: str, **formats: Any) -> Iterator[tifffile.TiffFile]:
    """Parse a maker's TIFF; whatever damage is found in the block makes it unrecognised.

    Args:
        path: Local file.
        formats: Which formats tifffile is to see or not to see: booleans, as `is_philips=False`.

    Raises:
        UnrecognisedError: It cannot be parsed.
    """
    try:
        with tifffile.TiffFile(path, **formats) as tiff:
            tiff.pages.cache = True
            if not all(isinstance(page, tifffile.TiffPage) for page in tiff.pages):
                raise UnrecognisedError("directories that are not read in full")
            yield tiff
    except (*DAMAGE, MemoryError) as error:  # of sizes that are made up
        raise UnrecognisedError(f"TIFF that cannot be parsed: {error}") from error


def full_pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """All directories; `parse_tiff` has seen that they are read in full."""
    return [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]


def parse_xml(text: object) -> ET.Element:
    """The root of an XML text of a tag.

    Raises:
        UnrecognisedError: There is none that can be parsed.
    """
    if not isinstance(text, (str, bytes)) or len(text) > MOST_TEXT_BYTES:
        raise UnrecognisedError("no XML text")
    data = text.encode() if isinstance(text, str) else text
    if b"<!" in data.replace(b"<!--", b""):  # entities could grow without end
        raise UnrecognisedError("XML with a document type")
    try:
        return ET.fromstring(data.rstrip(b"\0"))  # noqa: S314 - has no entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UnrecognisedError(f"XML that cannot be parsed: {error}") from error


def whole_attribute(node: ET.Element, name: str) -> int:
    """A whole number in an attribute, written with digits alone."""
    text = node.get(name, "")
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 16:
        raise UnrecognisedError(f"{name} of {text!r}")
    return int(text)


def number_attribute(node: ET.Element, name: str) -> float:
    """A finite number in an attribute."""
    text = node.get(name, "")
    try:
        number = float(text)
    except ValueError as error:
        raise UnrecognisedError(f"{name} of {text!r}") from error
    if not math.isfinite(number) or abs(number) > 2**53 or "_" in text:
        raise UnrecognisedError(f"{name} of {text!r}")
    return number


def check_levels(levels: tuple[Level, ...], known: KnownSlide) -> tuple[Level, ...]:
    """The levels, if OpenSlide finds the same.

    Raises:
        UnrecognisedError: It does not.
    """
    found = [level.size for level in levels]
    if not levels or found != list(known.level_sizes):
        raise UnrecognisedError(f"levels {found}, where OpenSlide finds {list(known.level_sizes)}")
    for level, tile in zip(levels, known.tile_sizes, strict=True):
        if tile != (0, 0) and tile != level.tile:
            raise UnrecognisedError(f"tiles of {level.tile}, where OpenSlide finds {tile}")
    return levels
