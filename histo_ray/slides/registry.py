"""The slide readers: one line each. Names are needed for `--help`, so nothing heavy is imported."""

from typing import NamedTuple

from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or

AUTO = "auto"
"""Asks for the first reader that serves the file."""


class ReaderEntry(NamedTuple):
    """A registered reader."""

    name: str
    """What `--slide-reader`, receipts and `slide.reader` call it."""
    module: str
    """Offers `detect` and `open_reader` (see `ReaderModule`); imported when a slide is opened."""
    priority: int
    """With `auto` the readers that detect the file are asked from the greatest on."""
    by_ranges: bool = False
    """Whether it reads remote slides where they are, so no copy is needed."""


READERS: tuple[ReaderEntry, ...] = (
    ReaderEntry("direct", "histo_ray.slides.direct.direct_opening", 30, by_ranges=True),
    ReaderEntry("openslide", "histo_ray.slides.openslide_opening", 20),
    ReaderEntry("image", "histo_ray.slides.image_reader", 10),
)


def reader_names() -> tuple[str, ...]:
    """Names that select a reader: `auto`, then every reader by priority."""
    return (AUTO, *(entry.name for entry in by_priority()))


def by_priority() -> list[ReaderEntry]:
    """The readers, in the order in which `auto` asks them."""
    return sorted(READERS, key=lambda entry: -entry.priority)


def check_reader_name(name: str) -> None:
    """Refuse a name that no reader has.

    Raises:
        ConfigError: With the names there are.
    """
    if name not in reader_names():
        raise ConfigError(f"unknown slide reader {name!r}: {describe_names(name)}")


def describe_names(name: str) -> str:
    """Which readers there are, and which is like `name`: the end of a message."""
    names = reader_names()
    return f"must be {join_or(list(names))}{did_you_mean(name, names)}"


def find_reader(name: str) -> ReaderEntry:
    """The entry of that name; `check_reader_name` has passed it."""
    return next(entry for entry in READERS if entry.name == name)
