"""Damage to TIFFs: where it hurts, at random, and the same for the same number. Pure."""

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_HOSTILE = (0, 1, 2, 3, 7, 8, 16, 255, 256, 2**15, 2**16 - 1, 2**16, 2**20, 2**31 - 1, 2**31,
            2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
"""Numbers that arithmetic goes wrong on."""


@dataclass(frozen=True)
class _Form:
    """How a TIFF writes its directories."""

    order: str
    """`<` or `>`."""
    big: bool

    @property
    def entry_bytes(self) -> int:
        return 20 if self.big else 12

    @property
    def fields(self) -> tuple[tuple[int, str], ...]:
        """(offset, format) of an entry's code, type, count and value."""
        wide = "Q" if self.big else "I"
        return ((0, "H"), (2, "H"), (4, wide), (12 if self.big else 8, wide))

    def pack(self, kind: str, value: int) -> bytes:
        return struct.pack(self.order + kind, value % (1 << 8 * struct.calcsize(kind)))

    def unpack(self, kind: str, data: bytes, at: int) -> int:
        return int(struct.unpack_from(self.order + kind, data, at)[0])


@dataclass(frozen=True)
class _Places:
    """Where a TIFF can be hurt."""

    form: _Form
    entries: tuple[int, ...]
    """Where each tag of each directory begins."""
    links: tuple[int, ...]
    """Where a directory says where the next one is; the header says where the first is."""


def damage(data: bytes, number: int) -> bytes:
    """A TIFF with one to four faults, decided by `number` alone.

    Args:
        data: An intact TIFF.
        number: Any; the same gives the same faults.
    """
    rng = np.random.default_rng(number)
    places = _find_places(data)
    hurt = bytearray(data)
    for _ in range(int(rng.choice((1, 1, 1, 2, 3, 4)))):
        fault = rng.choice(len(_FAULTS), p=_CHANCES)
        _FAULTS[fault](hurt, places, rng)
    return bytes(hurt)


@lru_cache(maxsize=16)
def _find_places(data: bytes) -> _Places:
    order = "<" if data[:2] == b"II" else ">"
    if data[:2] not in (b"II", b"MM"):  # no TIFF
        return _Places(_Form("<", big=False), (), ())
    form = _Form(order, big=struct.unpack_from(order + "H", data, 2)[0] == 43)
    wide, count_kind = ("Q", "Q") if form.big else ("I", "H")
    entries: list[int] = []
    links = [8 if form.big else 4]
    while offset := form.unpack(wide, data, links[-1]):
        count = form.unpack(count_kind, data, offset)
        start = offset + struct.calcsize("=" + count_kind)
        entries += range(start, start + count * form.entry_bytes, form.entry_bytes)
        links.append(start + count * form.entry_bytes)
    return _Places(form, tuple(entries), tuple(links))


def _set_field(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """A tag's code, type, count or value becomes a hostile number, or a little other."""
    if not places.entries:
        _set_number(hurt, rng)
        return
    entry = int(rng.choice(places.entries))
    offset, kind = places.form.fields[int(rng.integers(4))]
    at = entry + offset
    if at + 8 > len(hurt):
        return
    was = places.form.unpack(kind, bytes(hurt), at)
    value = int(rng.choice(len(_HOSTILE)))
    new = _HOSTILE[value] if rng.random() < 0.7 else was + int(rng.integers(-3, 4))
    put = places.form.pack(kind, new)
    hurt[at : at + len(put)] = put


def _set_number(hurt: bytearray, rng: np.random.Generator) -> None:
    """Two or four bytes before the first JPEG become a hostile number, or a little other."""
    end = max(8, bytes(hurt).find(b"\xff\xd8\xff"))
    at, size = int(rng.integers(0, end)), int(rng.choice((2, 4)))
    was = int.from_bytes(hurt[at : at + size], "little")
    new = _HOSTILE[int(rng.choice(len(_HOSTILE)))]
    if rng.random() < 0.5:
        new = was + int(rng.integers(-3, 4))
    hurt[at : at + size] = (new % 256**size).to_bytes(size, "little")


def _copy_entry(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """One tag is written over another."""
    if not places.entries:
        _set_number(hurt, rng)
        return
    source, target = (int(at) for at in rng.choice(places.entries, 2))
    size = places.form.entry_bytes
    hurt[target : target + size] = hurt[source : source + size]


def _set_link(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """A directory points at itself, into nothing, or anywhere."""
    if not places.links:
        _set_number(hurt, rng)
        return
    link = int(rng.choice(places.links))
    targets = (0, places.links[0], link, len(hurt) - 1, 2**32 - 1, int(rng.integers(len(hurt))))
    put = places.form.pack("Q" if places.form.big else "I", int(rng.choice(targets)))
    hurt[link : link + len(put)] = put


def _flip_byte(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """Any byte of the file."""
    if hurt:
        hurt[int(rng.integers(len(hurt)))] = int(rng.integers(256))


def _hurt_jpeg(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """Bytes of a JPEG's header: its sizes, tables and lengths of segments."""
    starts = [at for at in _starts_of_jpegs(bytes(hurt)) if at + 40 < len(hurt)]
    if starts:
        at = int(rng.choice(starts)) + int(rng.integers(2, 600))
        put = bytes(rng.integers(0, 256, int(rng.integers(1, 5)), np.uint8))
        hurt[at : at + len(put)] = put[: max(0, len(hurt) - at)]


def _cut(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """The end is missing."""
    del hurt[int(rng.integers(1, max(2, len(hurt)))) :]


def _take_out(hurt: bytearray, places: _Places, rng: np.random.Generator) -> None:
    """A few bytes are missing, so that all behind them has moved."""
    at = int(rng.integers(len(hurt) or 1))
    del hurt[at : at + int(rng.integers(1, 64))]


def _starts_of_jpegs(data: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(b"\xff\xd8\xff")
    while at >= 0 and len(found) < 50:
        found.append(at)
        at = data.find(b"\xff\xd8\xff", at + 3)
    return found


_FAULTS = (_set_field, _copy_entry, _set_link, _flip_byte, _hurt_jpeg, _cut, _take_out)
_CHANCES = (0.55, 0.08, 0.05, 0.1, 0.14, 0.03, 0.05)
