"""Downloads of public tile sets, held against what is known of them before hours are spent."""

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.settings import Settings
from histo_ray.text import did_you_mean, join_or
from histo_ray.tilesets.image import SUFFIXES

KNOWN = Path(__file__).parent / "known_sets.toml"
OPENED = 2000
"""Tiles that are decoded, evenly spread over the set; of all the size on disk is looked at."""
_SHOWN = 3
_BLOCK = 1 << 24


class KnownSet(Settings):
    """What is known of a public tile set."""

    title: str
    source: str
    tile_px: int
    archive: str
    """Name of the file that it is downloaded as."""
    archive_bytes: int
    archive_md5: str
    other_md5: dict[str, str] = Field(default_factory=dict)
    """MD5 of files that are easily taken for it, with what they are."""
    classes: dict[str, int]
    """Tiles of each class."""

    @property
    def tiles(self) -> int:
        """Tiles of all classes."""
        return sum(self.classes.values())


def list_known() -> list[str]:
    """Names of the sets that are known."""
    return list(_known())


def find_known(name: str) -> KnownSet:
    """Find what is known of a set.

    Raises:
        ConfigError: There is no such name.
    """
    if name not in _known():
        raise ConfigError(
            f"--data {name}: must be {join_or(list_known())}{did_you_mean(name, list_known())}"
        )
    return _known()[name]


@cache
def _known() -> dict[str, KnownSet]:
    values = tomllib.loads(KNOWN.read_text(encoding="utf-8"))
    return {name: parse_settings(KnownSet, entry, name) for name, entry in values.items()}


def check_known_set(known: KnownSet, place: Path) -> list[str]:
    """Hold a download against what is known of it.

    Args:
        known: From `find_known`.
        place: The downloaded archive, or the folder that it was unpacked to.

    Returns:
        One sentence for each deviation; empty if there is none.
    """
    if place.is_file():
        return list(_check_archive(known, place))
    if not place.is_dir():
        return [
            f"{place} is not there; download {known.archive} ({known.source}) and give the archive "
            "or the folder that it unpacks to"
        ]
    return list(_check_folder(known, place))


def _check_archive(known: KnownSet, place: Path) -> Iterator[str]:
    size = place.stat().st_size
    if size != known.archive_bytes:
        more = "download the rest" if size < known.archive_bytes else "download it again"
        yield f"{place} has {size:,} bytes, {known.archive} has {known.archive_bytes:,}; {more}"
        return
    digest = hashlib.md5(usedforsecurity=False)
    with place.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    found = digest.hexdigest()
    if found != known.archive_md5:
        what = known.other_md5.get(found)
        yield (
            f"{place} has the MD5 {found}, {known.archive} has {known.archive_md5}; "
            + (f"it is {what}; download the right one" if what else "download it again")
        )


def _check_folder(known: KnownSet, place: Path) -> Iterator[str]:
    folders = sorted(entry.name for entry in place.iterdir() if entry.is_dir())
    if known.title in folders and not set(folders) & set(known.classes):
        yield from _check_folder(known, place / known.title)
        return
    for name in folders:
        if name not in known.classes and not name.startswith((".", "__MACOSX")):
            yield f"{place / name} is no class of {known.title}; take it out of the folder"
    every: list[Path] = []
    for name, count in known.classes.items():
        files = _list_tiles(place / name)
        every += files
        if not files:
            yield (
                f"class {name}: no tile below {place / name}, {known.title} has {count:,}; {_AGAIN}"
            )
        elif len(files) != count:
            yield f"class {name}: {len(files):,} tiles, {known.title} has {count:,}; {_AGAIN}"
        strays = [file.name for file in files if not file.name.startswith(f"{name}-")]
        if strays:
            yield (
                f"class {name}: {len(strays):,} tiles are named as of another class "
                f"({_some(strays)}); move them back, or unpack it again"
            )
    yield from _check_tiles(known, every)


_AGAIN = "unpack the archive again"


def _list_tiles(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )


def _check_tiles(known: KnownSet, files: Sequence[Path]) -> Iterator[str]:
    """Look at the size of all files, and decode some of them."""
    empty = [file.name for file in files if file.stat().st_size == 0]
    if empty:
        yield f"{len(empty):,} tiles are empty files ({_some(empty)}); {_AGAIN}"
    twins = [name for name, times in Counter(file.name for file in files).items() if times > 1]
    if twins:
        yield f"{len(twins):,} tiles are in two classes ({_some(twins)}); {_AGAIN}"
    chosen = np.unique(np.linspace(0, len(files) - 1, min(OPENED, len(files))).astype(int))
    unread, wrong = [], []
    for file in (files[row] for row in chosen.tolist() if files):
        try:
            with Image.open(file) as image:
                image.load()
                if image.size != (known.tile_px, known.tile_px):
                    wrong.append(f"{file.name}: {image.size[0]} x {image.size[1]} px")
        except (OSError, SyntaxError, UnidentifiedImageError):
            unread.append(file.name)
    if unread:
        yield (
            f"{len(unread):,} of the {len(chosen):,} tiles that were opened cannot be read "
            f"({_some(unread)}); {_AGAIN}"
        )
    if wrong:
        yield (
            f"{len(wrong):,} of the {len(chosen):,} tiles that were opened are not "
            f"{known.tile_px} x {known.tile_px} px ({_some(wrong)}); take the set as it was "
            "published"
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
