"""Reads and checks a labelled tile set; every problem of it comes in one message."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.tilesets.image import GREATEST_PX, LEAST_PX, TileError, decode_tile
from histo_ray.tilesets.listing import TABLE_SUFFIXES, Entry, find_thin_classes, list_source
from histo_ray.tilesets.tileset import TileSet, digest_pixels, read_bytes

SHOWN_PROBLEMS = 10
REPORT_EVERY = 500
"""Tiles between two words on how far reading is."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


@dataclass(frozen=True)
class _Look:
    """What opening one file showed."""

    size: tuple[int, int] = (0, 0)
    digest: str = ""
    problem: str = ""


def read_tileset(
    source: str,
    name: str | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> TileSet:
    """Read a labelled tile set; every file is decoded once, and no pixels are kept.

    Hidden files, and files beside the class folders that are no images, are passed over. Tiles
    of equal pixels under one label are kept; `hold_out` keeps them together.

    Args:
        source: A folder with one folder a class (PNG, JPEG, TIFF), or a CSV or Parquet table with
            the columns `path`, `label` and optionally `group` (patient) and `synthetic`. Local or
            URI.
        name: Slug (default: from the folder's name or the table's stem).
        report: Called now and then with the number of files read and of all.

    Raises:
        ConfigError: All problems: files that are unreadable or not 8-bit RGB squares of one size,
            empty classes, fewer than two classes, equal pixels under different labels.
    """
    listing = list_source(source)
    entries = listing.entries
    looks = _look_at_all(entries, report)
    tile_px, wrong_sizes = _agree_on_size(looks)
    problems = list(listing.problems)
    for entry, look in zip(entries, looks, strict=True):
        problem = look.problem or wrong_sizes.get(look.size, "")
        if problem:
            problems.append(f"{_short(entry, listing.base)}: {problem}")
    problems += _find_contradictions(entries, looks, listing.base)
    problems += find_thin_classes(entry.label for entry in entries)
    if problems:
        raise ConfigError(describe_problems(source, problems))
    classes = tuple(sorted({entry.label for entry in entries}))
    index = {label: place for place, label in enumerate(classes)}
    return TileSet(
        name=_choose_name(source, name),
        classes=classes,
        paths=tuple(entry.path for entry in entries),
        labels=np.array([index[entry.label] for entry in entries], np.int32),
        groups=tuple(entry.group for entry in entries) if listing.has_groups else None,
        digests=tuple(look.digest for look in looks),
        tile_px=tile_px,
        synthetic=listing.synthetic,
    )


def describe_problems(what: str, problems: list[str]) -> str:
    """One line for all that is wrong with a tile set: the first ones, and how many more."""
    shown = "; ".join(problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    if len(problems) == 1:
        return f"tiles {what}: {shown}"
    return f"tiles {what}: {len(problems)} problems; correct or remove these: {shown}{rest}"


def _look_at_all(entries: list[Entry], report: Callable[[int, int], None]) -> list[_Look]:
    looks: list[_Look] = []
    with ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1) + 2)) as pool:
        for look in pool.map(_look_at, (entry.path for entry in entries)):
            looks.append(look)
            if len(looks) % REPORT_EVERY == 0 or len(looks) == len(entries):
                report(len(looks), len(entries))
    return looks


def _look_at(path: str) -> _Look:
    try:
        pixels = decode_tile(read_bytes(path))
    except FileNotFoundError:
        return _Look(problem="there is no such file")
    except (OSError, ConfigError) as error:
        return _Look(problem=f"cannot be read ({' '.join(str(error).split())})")
    except TileError as error:
        return _Look(problem=str(error))
    height, width = pixels.shape[:2]
    return _Look((width, height), digest_pixels(pixels))


def _agree_on_size(looks: list[_Look]) -> tuple[int, dict[tuple[int, int], str]]:
    """The tiles' edge in px, and what is wrong with each other (width, height) there is."""
    sizes = Counter(look.size for look in looks if not look.problem)
    fitting = {
        size: count
        for size, count in sizes.items()
        if size[0] == size[1] and LEAST_PX <= size[0] <= GREATEST_PX
    }
    usual = max(fitting, key=lambda size: (fitting[size], size)) if fitting else None
    wrong = {}
    for width, height in sizes:
        if (width, height) == usual:
            continue
        if width != height:
            rule = f"tiles are squares, here of {usual[0]} px" if usual else "tiles are squares"
        elif (width, height) not in fitting:
            rule = f"a tile has at least {LEAST_PX} px a side"
        else:
            rule = f"most tiles have {usual[0]} x {usual[0]} px" if usual else ""
        wrong[width, height] = f"{width} x {height} px; {rule}"
    return (usual[0] if usual else 0), wrong


def _find_contradictions(entries: list[Entry], looks: list[_Look], base: str) -> list[str]:
    """Tiles of equal pixels and different labels."""
    same: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry, look in zip(entries, looks, strict=True):
        if not look.problem:
            same[look.digest].append(entry)
    problems = []
    for twins in same.values():
        if len({entry.label for entry in twins}) > 1:
            names = " and ".join(f"{_short(e, base)} ({e.label})" for e in twins[:3])
            more = f" and {len(twins) - 3} more" if len(twins) > 3 else ""
            problems.append(f"{names}{more}: the same pixels under different labels")
    return problems


def _short(entry: Entry, base: str) -> str:
    return entry.path.removeprefix(base).lstrip("/") or entry.path


def _choose_name(source: str, name: str | None) -> str:
    if name is None:
        stem = PurePosixPath(source.rstrip("/")).name
        if stem in ("", ".", ".."):
            stem = Path(source).resolve().name
        if stem.lower().endswith(TABLE_SUFFIXES):
            stem = stem.rpartition(".")[0]
        name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "tiles"
    if not _SLUG.fullmatch(name):
        raise ConfigError(
            f"tiles {source}: {name!r} cannot name a tile set; use a-z, 0-9, ., _ and - only"
        )
    return name
