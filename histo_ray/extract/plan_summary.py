"""Result of a plan: a row a slide, sums, and an estimate of time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.extract.slide import SubjectPlan, ink_remark
from histo_ray.extract.source_cells import SourceTally
from histo_ray.extract.subject import TiledSlide, describe_tiles, tiling_of_several
from histo_ray.types import EncoderFacts, Slide

BYTES_A_ROW = 24
"""Bytes of a partition's row beside the vector: ids, coords, tissue, focus."""


class PlanStatus(StrEnum):
    """State of one slide in a plan."""

    TODO = "todo"
    """It has tiles that the store lacks."""
    STORED = "stored"
    """All its partitions are there."""
    EMPTY = "empty"
    """It has no tile."""
    FAILED = "failed"
    """It cannot be used."""


@dataclass(frozen=True)
class PlanRow:
    """One slide in a plan."""

    slide_id: str
    status: PlanStatus
    reason: str
    n_tiles: int
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    mpp: float
    """Microns per pixel of level 0 along x; 0 where unknown."""
    mpp_source: str
    level: int
    """Level that would be read; -1 where unknown."""
    tissue_share: float | None = None
    """Share of the slide that is tissue, 0..1; None where unknown or where every tile counts."""
    ink_share: float | None = None
    """Share that pen ink covers, 0..1; None where it was not looked for."""
    remark: str = ""
    """On a slide that can be used: how much of it is pen ink, where that is much."""
    tiling: str = ""
    """Fingerprint of the tiling, where the run has several; a slide then has a row for each."""
    tiles_of: str = ""
    """What its tiles are, as "256 px at 0.5 mpp", where the run has several tilings."""


@dataclass(frozen=True)
class PlanSummary:
    """Plan of an extraction."""

    rows: list[PlanRow]
    tiles: int | None
    """To be read; None, as the two below, where slides were not opened."""
    vectors: int | None
    """To be encoded, over all encoders."""
    bytes: int | None
    """To be written; None also where only a loaded encoder could say it."""
    seconds: float | None
    """Estimated as `seconds_from` says; None where there is nothing to do or no estimate."""
    undrawn: dict[str, str]
    """Slides without a picture, where pictures were asked for, and why."""
    notes: tuple[str, ...] = ()
    """How many patients the manifest names, and what looks wrong in it."""
    starts_ray: bool = True
    """Whether `extract` would start Ray, or join one, which `seconds` does not hold."""
    source_tiles: int | None = None
    """Tiles of slides' files to be decoded, about, in squares of `SOURCE_PX`; None where slides
    were not opened, or the run has one tiling."""
    source_tiles_saved: int | None = None
    """Those that are decoded once for several tilings, and would be decoded again in a run for
    each."""
    seconds_from: str = ""
    """`batch`: one batch that was read and encoded here; else the run of the store whose speed was
    taken; empty: no estimate."""


@dataclass(frozen=True)
class Widest:
    """The slide with the most tiles of one tiling, on which a batch is measured."""

    slide: Slide
    plan: SubjectPlan
    group: int
    """Which of the run's tilings."""
    tiles: int
    """Tiles of all slides in this tiling."""
    encoders: tuple[str, ...]
    """Encoders that see them, by their names in the store."""


@dataclass
class Planned:
    """Slides that were planned; of their grids only the largest is kept."""

    rows: list[PlanRow] = field(default_factory=list)
    slides: list[Slide] = field(default_factory=list)
    """Those that could be planned."""
    tiles: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    """To be encoded, by encoder."""
    widest: dict[str, "Widest"] = field(default_factory=dict)
    """The slide with the most tiles, by tiling; under "" where the run has one."""
    sources: SourceTally = field(default_factory=SourceTally)
    """Tiles of files, where the run has several tilings."""

    def add(self, slide: Slide, encoders: Sequence[str], plan: SubjectPlan | str) -> None:
        """Take a slide that was planned for some encoders, or the problem with it."""
        if isinstance(plan, str):
            row = blank_row(slide.slide_id, PlanStatus.FAILED, plan)
            self.rows.append(in_tiling(row, tiling_of_several(slide)))
            return
        tiles, tiling = len(plan.grid), tiling_of_several(slide)
        self.rows.append(in_tiling(_row(slide.slide_id, plan), tiling))
        self.slides.append(slide)
        self.tiles += tiles
        self.vectors.update(dict.fromkeys(encoders, tiles))
        if tiling is not None:
            self.sources.add(plan)
        name = "" if tiling is None else tiling.fingerprint()
        group = slide.group if isinstance(slide, TiledSlide) else 0
        found = Widest(slide, plan, group, tiles, tuple(encoders))
        largest = self.widest.get(name)
        if largest is not None:
            found = max(found, largest, key=lambda one: (len(one.plan.grid), one.slide.slide_id))
            both = dict.fromkeys((*largest.encoders, *encoders))
            found = replace(found, tiles=largest.tiles + tiles, encoders=tuple(both))
        self.widest[name] = found

    @property
    def failed(self) -> int:
        """Number of slides that cannot be used."""
        return len(self.rows) - len(self.slides)

    def count_bytes(self, dims: Mapping[str, int], dtype: str) -> int | None:
        """Bytes to be written.

        Args:
            dims: Numbers a vector, by encoder.
            dtype: `float16` or `float32`.

        Returns:
            None if the length of an encoder's vectors is not known.
        """
        wanted = {name: count for name, count in self.vectors.items() if count}
        if not wanted.keys() <= dims.keys():
            return None
        width = 4 if dtype == "float32" else 2
        return sum(count * (dims[name] * width + BYTES_A_ROW) for name, count in wanted.items())


@dataclass(frozen=True)
class Measured:
    """Measurement of one batch, and the encoders that encoded it."""

    facts: list[EncoderFacts] = field(default_factory=list)
    seconds: float | None = None
    """For all tiles; None without a tile."""

    @property
    def dims(self) -> dict[str, int]:
        """Numbers a vector, by encoder."""
        return {about.name: about.dim for about in self.facts}


FROM_BATCH = "batch"
"""`PlanSummary.seconds_from` where a batch was measured."""
Report = Callable[[Planned, int], None]
"""Called with what is planned so far, and the number of slides to be planned."""
Notify = Callable[[str], None]
DrawSlide = Callable[[Slide, ExtractConfig, str], str]
"""Draws one slide's tissue and tiles into a folder; returns why not, or an empty text. Other
processes import it by name."""


class Planner(Protocol):
    """Opens the slides of a plan and measures encoders; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def plan(
        self, todo: Sequence[tuple[Slide, tuple[str, ...]]], planned: Planned, report: Report
    ) -> None:
        """Plan the slides, each for some encoders, into `planned`."""

    def draw(self, draw: DrawSlide, slides: Sequence[Slide], folder: Path) -> dict[str, str]:
        """Draw slides into a folder with `draw`; those that could not be, and why."""

    def measure(self, planned: Planned) -> Measured:
        """Load the encoders, and read and encode one batch."""


def estimate_seconds(tiles: int, read_s: float, encode_s: float, *, shared_cores: bool) -> float:
    """Estimate the seconds of a run. Pure.

    Args:
        tiles: To be read and encoded.
        read_s: Seconds to read one tile, over all readers.
        encode_s: Seconds to encode one tile with every encoder, over all encoder processes.
        shared_cores: Whether reading and encoding take turns on the same cores.
    """
    return tiles * (read_s + encode_s if shared_cores else max(read_s, encode_s))


def blank_row(slide_id: str, status: PlanStatus, reason: str = "", n_tiles: int = 0) -> PlanRow:
    """Row of a slide that was not opened."""
    return PlanRow(slide_id, status, reason, n_tiles, 0, 0, 0.0, "", -1)


def in_tiling(row: PlanRow, tiling: TilingConfig | None) -> PlanRow:
    """Row of a slide in one of the run's tilings; as it is where the run has one. Pure."""
    if tiling is None:
        return row
    return replace(row, tiling=tiling.fingerprint(), tiles_of=describe_tiles(tiling))


def _row(slide_id: str, plan: SubjectPlan) -> PlanRow:
    tiles, slide = len(plan.grid), plan.slide
    width, height = slide.size_px
    return PlanRow(
        slide_id=slide_id,
        status=PlanStatus.TODO if tiles else PlanStatus.EMPTY,
        reason=plan.empty_reason,
        n_tiles=tiles,
        width=width,
        height=height,
        mpp=slide.mpp[0],
        mpp_source=slide.mpp_source,
        level=plan.tiling.level,
        tissue_share=slide.tissue_share,
        ink_share=slide.ink_share,
        remark=ink_remark(slide),
    )
