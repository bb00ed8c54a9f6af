"""Parses what a DICOM slide says of its tiles: explicit little-endian elements, nothing else.

DICOM PS3.5, 7.1 (elements), 7.5 (sequences) and A.4 (frames in fragments). Values that are not
asked for are skipped, so that the pixels are not read.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from histo_ray.slides.direct.layout import UnrecognisedError

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS, BIG_OFFSETS, BIG_LENGTHS = 0x7FE00010, 0x7FE00001, 0x7FE00002
UNDEFINED = 0xFFFFFFFF
MOST_VALUE_BYTES = 2**28
"""A longer value, of an index of frames, is not read."""
_MOST_DEPTH = 12
_LONG_KINDS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN",
                         b"UR", b"UT", b"UV"))  # fmt: skip
_SHORT_KINDS = frozenset((b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS",
                          b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL",
                          b"US"))  # fmt: skip
_INTEGERS = {b"US": "<H", b"UL": "<I", b"SL": "<i", b"SS": "<h"}


class Element(NamedTuple):
    """One element of a data set."""

    tag: int
    kind: bytes
    """Its value representation."""
    at: int
    """Where its value begins in the file."""
    size: int
    """Bytes of the value; `UNDEFINED` if an end is marked."""


class DicomFile:
    """Elements of one DICOM file."""

    def __init__(self, file: BinaryIO) -> None:
        """Take an open file, which the caller closes."""
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the file.

        Raises:
            UnrecognisedError: There are fewer.
        """
        if not 0 <= size <= MOST_VALUE_BYTES or not 0 <= at <= self.size - size:
            raise UnrecognisedError("a DICOM value beyond the end of the file")
        self._file.seek(at)
        data = self._file.read(size)
        if len(data) != size:
            raise UnrecognisedError("a DICOM file cut short")
        return data

    def value(self, element: Element) -> bytes:
        """The bytes of an element's value."""
        return self.read(element.at, element.size)

    def text(self, element: Element) -> str:
        """A value as text, without its padding."""
        return self.value(element).decode("ascii", "replace").rstrip("\0 ")

    def integer(self, element: Element) -> int:
        """A value that is one binary integer, or a decimal one in text."""
        if element.kind == b"IS":
            text = self.text(element).strip()
            if not text.isdecimal() or len(text) > 12:
                raise UnrecognisedError(f"an integer {text!r}")
            return int(text)
        code = _INTEGERS.get(element.kind)
        if code is None or element.size != struct.calcsize(code):
            raise UnrecognisedError(f"an integer of kind {element.kind!r}")
        return int(struct.unpack(code, self.value(element))[0])

    def elements(self, at: int, end: int, depth: int = 0) -> Iterator[Element]:
        """Elements of a data set, down to the pixels or the end of the item."""
        while at < end:
            element = self._read_element(at)
            if element.tag == ITEM_END:
                return
            yield element
            if element.tag == PIXELS:
                return
            at = self.end_of(element, depth)

    def items(self, sequence: Element, depth: int = 0) -> Iterator[tuple[int, int]]:
        """(start, end) of each item of a sequence; the end may be that of the file."""
        if sequence.kind != b"SQ" or depth > _MOST_DEPTH:
            raise UnrecognisedError("a sequence of another kind")
        marked = sequence.size == UNDEFINED
        at, end = sequence.at, self.size if marked else sequence.at + sequence.size
        while at < end:
            tag, size = self.item_header(at)
            if marked and tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise UnrecognisedError("a sequence with something between its items")
            stop = self.size if size == UNDEFINED else at + 8 + size
            yield at + 8, stop
            at = self._end_of_item(at + 8, size, depth + 1)

    def item_header(self, at: int) -> tuple[int, int]:
        """Tag and bytes of the item at a place."""
        group, number, size = struct.unpack("<HHI", self.read(at, 8))
        return group << 16 | number, size

    def end_of(self, element: Element, depth: int = 0) -> int:
        """Where the element after this one begins."""
        if element.size != UNDEFINED:
            return element.at + element.size
        if element.kind != b"SQ" or depth > _MOST_DEPTH:
            raise UnrecognisedError("a value without a length")
        at = element.at
        while True:
            tag, size = self.item_header(at)
            if tag == SEQUENCE_END:
                return at + 8
            if tag != ITEM:
                raise UnrecognisedError("a sequence with something between its items")
            at = self._end_of_item(at + 8, size, depth + 1)

    def _end_of_item(self, start: int, size: int, depth: int) -> int:
        if size != UNDEFINED:
            return start + size
        at = start
        while True:
            element = self._read_element(at)
            if element.tag == ITEM_END:
                return element.at
            at = self.end_of(element, depth)

    def _read_element(self, at: int) -> Element:
        head = self.read(at, 8)
        group, number, kind, size = struct.unpack("<HH2sH", head)
        tag = group << 16 | number
        if tag == ITEM_END:
            return Element(tag, b"", at + 8, 0)
        if kind in _LONG_KINDS:
            return Element(tag, kind, at + 12, int.from_bytes(self.read(at + 8, 4), "little"))
        if kind not in _SHORT_KINDS:
            raise UnrecognisedError(f"a DICOM element of kind {kind!r}")
        return Element(tag, kind, at + 8, size)
