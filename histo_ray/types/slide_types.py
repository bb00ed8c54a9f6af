"""Slides and their pyramids. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Size = tuple[int, int]
"""(width, height)."""
MppSource = Literal[
    "manifest", "file", "ome-xml", "imagej", "tiff-tags", "flag", "import", "unknown"
]
"""`import`: stated by the features of another tool that were imported."""


class Mpp(NamedTuple):
    """Microns per pixel along each axis."""

    x: float
    y: float


MARKS = frozenset({"true", "yes", "y", "1", "1.0"})
"""Cells of a column that say yes, in lower case."""
NO_MARKS = frozenset({"false", "no", "n", "0", "0.0", "", "none", "nan"})
"""Cells that say no, or nothing."""


def is_marked(cell: Any) -> bool:
    """Whether a cell of a table says yes."""
    return str(cell).strip().lower() in MARKS


def describe_mark(column: str, cell: Any) -> str:
    """What is wrong with a cell that shall say yes or no; empty if nothing."""
    if str(cell).strip().lower() in MARKS | NO_MARKS:
        return ""
    return f"{column} {str(cell)[:60]!r} says neither yes nor no; write true or false"


@dataclass(frozen=True)
class Slide:
    """One row of a manifest."""

    slide_id: str
    """Unique, safe as a file name."""
    path: str
    """Local path or URI of the slide file."""
    patient_id: str
    site: str = ""
    """Tissue source site or hospital; empty where unknown."""
    mpp: float | None = None
    """Microns per pixel from the manifest; overrides the file."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's further columns."""

    @property
    def synthetic(self) -> bool:
        """Whether the manifest's column `synthetic` marks it: drawn, not from a patient."""
        return is_marked(self.extra.get("synthetic"))


@dataclass(frozen=True)
class Pyramid:
    """Geometry of an opened slide."""

    slide_id: str
    mpp: Mpp
    """Resolution of level 0, (x, y) microns per pixel."""
    mpp_source: MppSource
    level_sizes: tuple[Size, ...]
    """(width, height) of each level in that level's px; level 0 first, ever coarser."""

    @property
    def size(self) -> Size:
        """(width, height) of level 0."""
        return self.level_sizes[0]

    def downsample(self, level: int) -> tuple[float, float]:
        """Level-0 px per px of `level`, along x and y."""
        (width, height), (w, h) = self.level_sizes[0], self.level_sizes[level]
        return width / w, height / h


@dataclass(frozen=True)
class LevelRead:
    """How one tile is read: which level, how many of its px, and the exact extent to resample."""

    level: int
    downsample: tuple[float, float]
    """Level-0 px per level px, (x, y)."""
    extent: tuple[float, float]
    """Exact (width, height) of a tile in level px; in general not whole."""
    read_size: Size
    """(width, height) in level px to read: `extent` rounded up."""
