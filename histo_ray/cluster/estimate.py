"""A dry run: what an extraction would read, write and take."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ray
from ray.util import ActorPool

from histo_ray.cluster.counts import Counts
from histo_ray.cluster.pipeline import Pipeline
from histo_ray.cluster.pool import Member, dismiss, start_encoders, start_readers
from histo_ray.cluster.resources import Workers, plan_workers
from histo_ray.cluster.resume import Agenda, plan_agenda
from histo_ray.cluster.run import resolve_encoders
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.start import load_encoders
from histo_ray.cluster.work import SlideWork
from histo_ray.config import ExtractConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.extract import SlidePlan, stored_name
from histo_ray.slides.manifest import read_manifest
from histo_ray.storage.check import check_place
from histo_ray.store.store import peek_store
from histo_ray.tiles.pixels import check_tissue_pattern
from histo_ray.types import EncoderFacts, Slide

BYTES_A_ROW = 24
"""Of a partition beside the vector: ids, coords, tissue, focus."""


@dataclass(frozen=True)
class PlanRow:
    """What an extraction would do with one slide."""

    slide_id: str
    status: str
    """todo, stored, empty or failed."""
    reason: str
    n_tiles: int
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    mpp: float
    """Of level 0 along x; 0 where unknown."""
    mpp_source: str
    level: int
    """Level that would be read; -1 where unknown."""


@dataclass(frozen=True)
class PlanSummary:
    """What an extraction would do."""

    rows: list[PlanRow]
    tiles: int | None
    """To be read; None, as the two below, where slides were not opened."""
    vectors: int | None
    """To be encoded, over all encoders."""
    bytes: int | None
    """To be written."""
    seconds: float | None
    """Estimated from one batch read and encoded here; None if there was nothing to measure."""
    undrawn: dict[str, str]
    """Slides without a picture, where pictures were asked for, and why."""


@dataclass
class _Planned:
    """What is kept of the slides that were planned: not their grids, but for the largest one's."""

    rows: list[PlanRow] = field(default_factory=list)
    slides: list[Slide] = field(default_factory=list)
    """Those that could be planned."""
    tiles: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    """To be encoded, by encoder."""
    widest: tuple[Slide, SlidePlan] | None = None

    def add(self, work: SlideWork) -> None:
        """Take a slide that is finished."""
        self.rows.append(_row(work))
        if work.plan is None:
            return
        self.slides.append(work.slide)
        self.tiles += work.tiles
        self.vectors.update(dict.fromkeys(work.wanted, work.tiles))
        if work.tiles > (len(self.widest[1].grid) if self.widest else 0):
            self.widest = work.slide, work.plan


def survey_slides(config: ExtractConfig) -> PlanSummary:
    """Compare the manifest with the store; no slide is opened, and Ray is not started.

    Every file has been seen to exist. Slides that the store lacks are `todo`; those that it has
    count as unchanged.

    Raises:
        HistoRayError: The extraction could not start.
    """
    slides, _, agenda = _prepare(config, open_files=False)
    rows = _known_rows(agenda)
    for work in agenda.todo:
        rows[work.slide.slide_id] = _blank_row(work.slide.slide_id, "todo")
    ordered = [rows[slide.slide_id] for slide in slides]
    return PlanSummary(ordered, None, None, None, None, undrawn={})


def run_plan(
    config: ExtractConfig,
    report: Callable[[Counts], None] = lambda counts: None,
    pictures: Path | None = None,
) -> PlanSummary:
    """Plan every slide that the store lacks, measure one batch, and write nothing to the store.

    Args:
        config: The extraction.
        report: Called with how far the planning is.
        pictures: Folder for one PNG a slide: overview, tissue outline, tiles.

    Raises:
        HistoRayError: The extraction could not start.
    """
    slides, specs, agenda = _prepare(config, open_files=True)
    rows = _known_rows(agenda)
    planned = _Planned()
    seconds = None
    undrawn: dict[str, str] = {}
    facts: list[EncoderFacts] = []
    if agenda.todo:
        with ray_session(config.address) as nodes:
            workers = plan_workers(nodes, config)
            readers = start_readers(config, workers)
            encoders = start_encoders(config, specs, workers)
            pipeline = Pipeline(readers, [], {}, workers, "", plan_only=True)
            pipeline.report = report
            pipeline.run(agenda.todo, planned.add)
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                pool = ActorPool([member.handle for member in readers])
                answers = pool.map(
                    lambda reader, slide: reader.draw.remote(slide, str(pictures.absolute())),
                    planned.slides,
                )
                for slide, problem in zip(planned.slides, answers, strict=True):
                    if problem:
                        undrawn[slide.slide_id] = problem
            loaded, facts = load_encoders(encoders)
            seconds = _estimate(planned, readers, loaded, workers, facts)
            dismiss((*readers, *encoders))
    for row in planned.rows:
        rows[row.slide_id] = row
        if pictures and row.status == "failed":
            undrawn[row.slide_id] = "it cannot be opened or planned, see above"
    size = {
        about.name: about.dim * (2 if about.dtype == "float16" else 4) + BYTES_A_ROW
        for about in facts
    }
    return PlanSummary(
        rows=[rows[slide.slide_id] for slide in slides],
        tiles=planned.tiles,
        vectors=planned.vectors.total(),
        bytes=sum(count * size[name] for name, count in planned.vectors.items()),
        seconds=seconds,
        undrawn=undrawn,
    )


def _prepare(
    config: ExtractConfig, *, open_files: bool
) -> tuple[list[Slide], list[EncoderSpec], Agenda]:
    """Slides, encoders, and what is to do; checks all that can be checked before the start."""
    check_place(config.store, "store")
    slides = read_manifest(config.manifest)
    specs = resolve_encoders(config)
    check_tissue_pattern(config.tissue, config.mask_classes)
    names = [stored_name(spec.name, config.dtype) for spec in specs]
    store = peek_store(config.store)
    return slides, specs, plan_agenda(slides, names, store, config, open_files=open_files)


def _known_rows(agenda: Agenda) -> dict[str, PlanRow]:
    """Slides of which something is stored; with several encoders the last one's row."""
    rows = {}
    for row in agenda.rows:
        status = "stored" if row.outcome == "skipped" else row.outcome
        rows[row.slide_id] = _blank_row(row.slide_id, status, row.reason, row.n_tiles)
    return rows


def _blank_row(slide_id: str, status: str, reason: str = "", n_tiles: int = 0) -> PlanRow:
    """The row of a slide that was not opened."""
    return PlanRow(slide_id, status, reason, n_tiles, 0, 0, 0.0, "", -1)


def _row(work: SlideWork) -> PlanRow:
    slide_id, plan = work.slide.slide_id, work.plan
    if plan is None:
        reason = next(iter(work.problems.values()), "")
        return _blank_row(slide_id, "failed", reason)
    status = "todo" if work.tiles else "empty"
    (width, height), mpp = plan.slide.size_px, plan.slide.mpp[0]
    source, level = plan.slide.mpp_source, plan.tiling.level
    return PlanRow(
        slide_id, status, plan.empty_reason, work.tiles, width, height, mpp, source, level
    )


def _estimate(
    planned: _Planned,
    readers: list[Member],
    encoders: list[Member],
    workers: Workers,
    facts: list[EncoderFacts],
) -> float | None:
    """Seconds for all tiles, from one batch read and encoded now; None without a tile."""
    if planned.widest is None:
        return None
    slide, plan = planned.widest
    span = range(min(workers.batch_size, len(plan.grid)))
    began = time.monotonic()
    pixels, answer = (
        readers[0].handle.read.options(num_returns=2).remote(slide, ray.put(plan), span)
    )
    ray.get(answer)
    read_s = (time.monotonic() - began) / len(span)
    names = [about.name for about in facts]
    calls = encoders[0].handle.encode.options(num_returns=len(names) + 1)
    for _ in range(2):  # the first call warms up
        began = time.monotonic()
        ray.get(calls.remote(names, workers.batch_size, [slice(None)], pixels)[-1])
        encode_s = (time.monotonic() - began) / workers.batch_size
    tiles = planned.tiles
    reading, encoding = read_s / workers.readers, encode_s / workers.encoders
    shared_cores = workers.niceness > 0
    return tiles * (reading + encoding if shared_cores else max(reading, encoding))
