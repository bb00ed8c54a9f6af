"""A dry run: what an extraction would read, write and take."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.util import ActorPool

from histo_ray.cluster.counts import Counts
from histo_ray.cluster.pipeline import Pipeline
from histo_ray.cluster.pool import Member, start_encoders, start_readers
from histo_ray.cluster.resources import Workers, plan_workers
from histo_ray.cluster.resume import plan_agenda
from histo_ray.cluster.run import load_encoders, resolve_encoders
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.work import SlideWork
from histo_ray.config import ExtractConfig
from histo_ray.extract import stored_name
from histo_ray.slides.manifest import read_manifest
from histo_ray.storage.check import check_place
from histo_ray.store.store import peek_store
from histo_ray.tiles.pixels import check_tissue_pattern
from histo_ray.types import EncoderFacts

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
    tiles: int
    """To be read."""
    vectors: int
    """To be encoded, over all encoders."""
    bytes: int
    """To be written."""
    seconds: float | None
    """Estimated from one batch read and encoded here; None if there was nothing to measure."""
    undrawn: dict[str, str]
    """Slides without a picture, where pictures were asked for, and why."""


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
    check_place(config.store, "store")
    slides = read_manifest(config.manifest)
    specs = resolve_encoders(config)
    check_tissue_pattern(config.tissue)
    names = [stored_name(spec.name, config.dtype) for spec in specs]
    agenda = plan_agenda(slides, names, peek_store(config.store), config)
    rows: dict[str, PlanRow] = {}
    for row in agenda.rows:
        status = "stored" if row.outcome == "skipped" else row.outcome
        rows[row.slide_id] = PlanRow(
            row.slide_id, status, row.reason, row.n_tiles, 0, 0, 0.0, "", -1
        )
    done: list[SlideWork] = []
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
            pipeline.run(agenda.todo, done.append)
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                pool = ActorPool([member.handle for member in readers])
                slides_planned = [work.slide for work in done if work.plan]
                answers = pool.map(
                    lambda reader, slide: reader.draw.remote(slide, str(pictures.absolute())),
                    slides_planned,
                )
                for slide, problem in zip(slides_planned, answers, strict=True):
                    if problem:
                        undrawn[slide.slide_id] = problem
            facts = load_encoders(encoders)
            seconds = _estimate(done, readers, encoders, workers, facts)
    for planned in map(_row, done):
        rows[planned.slide_id] = planned
        if pictures and planned.status == "failed":
            undrawn[planned.slide_id] = "it cannot be opened or planned, see above"
    tiles = sum(work.tiles for work in done)
    size = {
        about.name: about.dim * (2 if about.dtype == "float16" else 4) + BYTES_A_ROW
        for about in facts
    }
    return PlanSummary(
        rows=[rows[slide.slide_id] for slide in slides],
        tiles=tiles,
        vectors=sum(work.tiles * len(work.wanted) for work in done),
        bytes=sum(work.tiles * size[name] for work in done for name in work.wanted),
        seconds=seconds,
        undrawn=undrawn,
    )


def _row(work: SlideWork) -> PlanRow:
    slide_id, plan = work.slide.slide_id, work.plan
    if plan is None:
        reason = next(iter(work.problems.values()), "")
        return PlanRow(slide_id, "failed", reason, 0, 0, 0, 0.0, "", -1)
    status = "todo" if work.tiles else "empty"
    (width, height), mpp = plan.slide.size_px, plan.slide.mpp[0]
    source, level = plan.slide.mpp_source, plan.tiling.level
    return PlanRow(
        slide_id, status, plan.empty_reason, work.tiles, width, height, mpp, source, level
    )


def _estimate(
    done: list[SlideWork],
    readers: list[Member],
    encoders: list[Member],
    workers: Workers,
    facts: list[EncoderFacts],
) -> float | None:
    """Seconds for all tiles, from one batch read and encoded now; None without a tile."""
    widest = max(done, key=lambda work: work.tiles)
    if widest.plan is None or not widest.tiles:
        return None
    span = range(min(workers.batch_size, widest.tiles))
    began = time.monotonic()
    pixels, answer = (
        readers[0]
        .handle.read.options(num_returns=2)
        .remote(widest.slide, ray.put(widest.plan), span)
    )
    ray.get(answer)
    read_s = (time.monotonic() - began) / len(span)
    names = [about.name for about in facts]
    calls = encoders[0].handle.encode.options(num_returns=len(names) + 1)
    for _ in range(2):  # the first call warms up
        began = time.monotonic()
        ray.get(calls.remote(names, workers.batch_size, pixels)[-1])
        encode_s = (time.monotonic() - began) / workers.batch_size
    tiles = sum(work.tiles for work in done)
    reading, encoding = read_s / workers.readers, encode_s / workers.encoders
    shared_cores = workers.niceness > 0
    return tiles * (reading + encoding if shared_cores else max(reading, encoding))
