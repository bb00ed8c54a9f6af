"""Blocks of a page; the template knows how each kind looks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import ClassVar, NamedTuple

from markupsafe import Markup

from histo_ray.report.charts.chart_style import Look


class Column(NamedTuple):
    """A column of a table."""

    head: str
    group: str = ""
    """Heading above neighbouring columns that share it."""
    about: str = ""
    """Explanation, shown as a hint."""
    number: bool = True
    """Whether cells are set to the right and sorted as numbers."""
    sort: bool = True


@dataclass(frozen=True)
class Table:
    """A table of cells as they are printed; the first column names the row."""

    kind: ClassVar = "table"
    name: str
    """Unique in the page."""
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    """Numbers of rows that a tick box shows alone."""
    mark: str = ""
    """Label of that tick box: what the rows have in common."""
    searchable: str = ""
    """Plural noun of the rows (`genes`) for the search box; empty for no search."""
    folded: str = ""
    """Title under which it is folded away; empty if it is open."""
    note: str = ""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(group, columns) from left to right; empty if no column has one."""
        if not any(column.group for column in self.columns):
            return []
        return [(name, len([*some])) for name, some in groupby(self.columns, lambda c: c.group)]


@dataclass(frozen=True)
class Text:
    """A paragraph; `sentence` is one that a paper would print."""

    kind: ClassVar = "text"
    text: str
    role: str = "plain"


@dataclass(frozen=True)
class Title:
    """Heading of a part of a section."""

    kind: ClassVar = "title"
    text: str


class Figure(NamedTuple):
    """A chart and its caption."""

    svg: Markup
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Figures:
    """Charts beside each other where there is room."""

    kind: ClassVar = "figures"
    figures: Sequence[Figure]
    legend: Sequence[tuple[Look, str]] = ()
    small: bool = False
    about: str = ""
    """Name of the table whose search a click on a point fills."""


class Photo(NamedTuple):
    """A picture of pixels and its caption."""

    source: str
    """`data:` URI."""
    alt: str
    """What it shows, for those who cannot see it."""
    caption: str


@dataclass(frozen=True)
class Photos:
    """Pictures beside each other where there is room."""

    kind: ClassVar = "photos"
    photos: Sequence[Photo]


class Card(NamedTuple):
    """Pairs of names and facts, and below them a listing that is folded away."""

    title: str
    facts: Sequence[tuple[str, str]]
    listing: str


@dataclass(frozen=True)
class Cards:
    """Cards beside each other where there is room."""

    kind: ClassVar = "cards"
    cards: Sequence[Card]


class Step(NamedTuple):
    """One step of a flow."""

    number: int
    what: str
    lost: str = ""
    """What was lost before the next step."""


@dataclass(frozen=True)
class Flow:
    """Numbers of slides and patients, step by step."""

    kind: ClassVar = "flow"
    steps: Sequence[Step]


Block = Table | Text | Title | Figures | Photos | Cards | Flow


@dataclass
class Section:
    """A part of the page with a heading of its own."""

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)


def legend_of(looks: dict[str, Look], encoders: Sequence[str]) -> list[tuple[Look, str]]:
    """Make the legend of some encoders."""
    return [(looks[name], name) for name in encoders]
