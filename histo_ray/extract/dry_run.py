"""A dry run: what an extraction would read, write and take.

Loading an encoder takes seconds, so it is loaded only where the estimate of time matters
(`Timing`). Some slides are planned by processes of this program, which takes less time than Ray
needs to start; how very many are spread is passed in.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from histo_ray.config import NO_RAY, ExtractConfig, works_here
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.tile_groups import EncoderGroup, group_encoders, name_unused
from histo_ray.extract.earlier_speed import EarlierSpeed, Machine, find_earlier_speed
from histo_ray.extract.known_sizes import find_known_dims
from histo_ray.extract.mixed_agenda import plan_groups
from histo_ray.extract.plan_here import PlanHere
from histo_ray.extract.plan_processes import count_cores, start_server
from histo_ray.extract.plan_summary import (
    FROM_BATCH,
    DrawSlide,
    Measured,
    Notify,
    Planned,
    Planner,
    PlanRow,
    PlanStatus,
    PlanSummary,
    Report,
    blank_row,
    in_tiling,
)
from histo_ray.extract.resources import Workers
from histo_ray.extract.resume import Agenda, check_cache
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.extract.small_work import count_gpus, starts_ray
from histo_ray.extract.subject import tiling_of_several
from histo_ray.extract.this_machine import describe_machine
from histo_ray.slides.manifest import Manifest, open_manifest
from histo_ray.storage.check import check_folder, check_place
from histo_ray.store.run_tables import list_runs
from histo_ray.store.store import Store, peek_store
from histo_ray.tiles.segmenters import settle_tissue
from histo_ray.types import Outcome, Slide

SLIDES_HERE = 300
"""Most slides that processes of this program open; more are spread, unless without Ray."""

MEASURED_FROM = 1000
"""Vectors to be encoded from which on a batch is measured, unless the caller decides."""
RUNS_LOOKED_AT = 20
"""Newest runs of a store among which one like the planned run is looked for."""

MakePlanner = Callable[[ExtractConfig, Sequence[EncoderSpec], bool], Planner]
"""Makes a planner that spreads slides over a cluster; the last argument says whether it will be
asked to measure a batch."""


@dataclass(frozen=True)
class Timing:
    """How the time of a run is estimated."""

    measured_from: float
    """Vectors to be encoded from which on a batch is read and encoded here; 0: always."""
    earlier: EarlierSpeed | None = None
    """Speed of a run like this one, which is taken where nothing is measured."""


@dataclass(frozen=True)
class PlanListener:
    """Functions that a plan calls while it works."""

    report: Report = lambda planned, total: None
    """Called with what is planned so far, and the number of slides to be planned."""
    opened: Callable[[list[PlanRow], dict[str, str]], None] = lambda rows, undrawn: None
    """Called with all rows, and the slides without a picture and why, before a batch is
    measured."""
    notify: Notify = lambda text: None
    """Called with what is done next."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of planned slides, one PNG each."""

    folder: Path
    draw: DrawSlide


def survey_slides(config: ExtractConfig) -> PlanSummary:
    """Compare the manifest with the store; no slide is opened, and Ray is not started.

    Every file has been seen to exist. Slides that the store lacks are `todo`; those that it has
    count as unchanged.

    Raises:
        HistoRayError: The extraction could not start.
    """
    config = settle_tissue(config)
    manifest, groups, agenda, _ = _prepare(config, open_files=False)
    known, planned = _known_rows(agenda, groups), Planned()
    for slide, _ in _todo(agenda):
        row = blank_row(slide.slide_id, PlanStatus.TODO)
        planned.rows.append(in_tiling(row, tiling_of_several(slide)))
    ordered = _order_rows(manifest, groups, known, planned)
    notes = (*manifest.notes, *agenda.notes, *name_unused(config))
    return PlanSummary(
        ordered,
        None,
        None,
        None,
        None,
        undrawn={},
        notes=notes,
        starts_ray=starts_ray(config, agenda.todo),
    )


def run_plan(
    config: ExtractConfig,
    spread: MakePlanner,
    pictures: Pictures | None = None,
    listener: PlanListener | None = None,
    measure: bool | None = None,
) -> PlanSummary:
    """Plan every slide that the store lacks, estimate the time, and write nothing to the store.

    Args:
        config: The extraction.
        spread: Makes the planner of very many slides, or of a cluster.
        pictures: Where slides are drawn, and by what; None draws none.
        listener: Called while it works.
        measure: Whether the encoders are loaded, and one batch is read and encoded, for the
            estimate of time. None: where there are `MEASURED_FROM` vectors to encode, and no run
            in the store that was like this one.

    Raises:
        HistoRayError: The extraction could not start.
    """
    listener = listener or PlanListener()
    if pictures:
        check_folder(pictures.folder, "pictures")
    if works_here(config.address):
        start_server()
    config = settle_tissue(config)
    manifest, groups, agenda, store = _prepare(config, open_files=True)
    with_ray = starts_ray(config, agenda.todo)
    known = _known_rows(agenda, groups)
    planned, measured = Planned(), Measured()
    undrawn: dict[str, str] = {}
    timing = _choose_timing(config, groups, store, measure) if agenda.todo else Timing(math.inf)
    if agenda.todo:
        with _choose_planner(config, groups, agenda, spread, listener.notify, timing) as planner:
            planner.plan(_todo(agenda), planned, listener.report)
            if pictures:
                listener.notify("drawing pictures")
                undrawn = _draw(planner, planned, pictures)
            rows = _order_rows(manifest, groups, known, planned)
            listener.opened(rows, undrawn)
            if planned.tiles and planned.vectors.total() >= timing.measured_from:
                listener.notify("loading the encoders to measure one batch")
                measured = planner.measure(planned)
    else:
        rows = _order_rows(manifest, groups, known, planned)
        listener.opened(rows, undrawn)
    dims = find_known_dims(groups, store) | measured.dims
    seconds, seconds_from = _estimate(planned, measured, timing)
    return PlanSummary(
        rows=rows,
        tiles=planned.tiles,
        vectors=planned.vectors.total(),
        bytes=planned.count_bytes(dims, config.dtype),
        seconds=seconds,
        undrawn=undrawn,
        notes=(*manifest.notes, *agenda.notes, *name_unused(config)),
        starts_ray=with_ray,
        source_tiles=planned.sources.shared or None,
        source_tiles_saved=planned.sources.saved,
        seconds_from=seconds_from,
    )


def _choose_timing(
    config: ExtractConfig,
    groups: Sequence[EncoderGroup],
    store: Store | None,
    measure: bool | None,
) -> Timing:
    """Choose how the time is estimated: as the caller says, else by a run like this one."""
    if measure:
        return Timing(0)
    earlier = None
    if store is not None and works_here(config.address) and len(groups) == 1:
        machine = Machine(count_cores(), 0 if config.device == "cpu" else count_gpus())
        records = list_runs(config.store, RUNS_LOOKED_AT).records
        earlier = find_earlier_speed(records, groups[0].names, groups[0].settings, machine)
    undecided = measure is None and earlier is None
    return Timing(MEASURED_FROM if undecided else math.inf, earlier)


def _estimate(planned: Planned, measured: Measured, timing: Timing) -> tuple[float | None, str]:
    """Seconds of the run, and where they are from. Pure."""
    if measured.seconds is not None:
        return measured.seconds, FROM_BATCH
    if timing.earlier is not None and planned.tiles:
        return planned.tiles / timing.earlier.tiles_per_s, timing.earlier.run_id
    return None, ""


def _todo(agenda: Agenda) -> list[tuple[Slide, tuple[str, ...]]]:
    """Slides, in each tiling that the store lacks something of, and the encoders of each."""
    return [
        (work.subject, work.encoders) for work in agenda.todo if isinstance(work.subject, Slide)
    ]


def _draw(planner: Planner, planned: Planned, pictures: Pictures) -> dict[str, str]:
    """Draw all slides that could be planned; those without a picture, and why."""
    pictures.folder.mkdir(parents=True, exist_ok=True)
    undrawn = planner.draw(pictures.draw, planned.slides, pictures.folder.absolute())
    for row in planned.rows:
        if row.status is PlanStatus.FAILED:
            undrawn[row.slide_id] = "the slide cannot be opened or planned, see above"
    return undrawn


def _order_rows(
    manifest: Manifest,
    groups: Sequence[EncoderGroup],
    known: dict[tuple[str, str], PlanRow],
    planned: Planned,
) -> list[PlanRow]:
    """One row a slide and tiling, in the manifest's order."""
    rows = known | {(row.slide_id, row.tiling): row for row in planned.rows}
    several = len(groups) > 1
    tilings = [group.tiling for group in groups] if several else [""]
    return [rows[slide.slide_id, tiling] for slide in manifest.slides for tiling in tilings]


def _choose_planner(
    config: ExtractConfig,
    groups: Sequence[EncoderGroup],
    agenda: Agenda,
    spread: MakePlanner,
    notify: Notify,
    timing: Timing,
) -> Planner:
    few = len(agenda.todo) <= SLIDES_HERE or config.address == NO_RAY
    specs: Sequence[EncoderSpec] = resolve_encoders(config)
    only = groups[0].settings if len(groups) == 1 else config
    if isinstance(only, ExtractConfig):
        config = only
    if works_here(config.address) and few:
        shape = partial(_shape_here, config, specs)
        return PlanHere(config, specs, shape, timing.measured_from)
    notify("starting Ray")
    return spread(config, specs, timing.measured_from < math.inf)


def _shape_here(config: ExtractConfig, specs: Sequence[EncoderSpec], gpus: int) -> Workers:
    """Processes of a run on this machine alone."""
    return plan_run_workers([describe_machine(gpus)], config, specs)


def _prepare(
    config: ExtractConfig, *, open_files: bool
) -> tuple[Manifest, tuple[EncoderGroup, ...], Agenda, Store | None]:
    """Manifest, encoders by their tiles, what is to do, store; all is checked that can be."""
    check_place(config.store, "store")
    check_folder(config.store, "store", to_write=False)
    check_cache(config)
    manifest = open_manifest(config.manifest)
    groups = group_encoders(config, resolve_encoders(config))
    store = peek_store(config.store)
    agenda = plan_groups(manifest.slides, groups, store, open_files=open_files)
    return manifest, groups, agenda, store


def _known_rows(agenda: Agenda, groups: Sequence[EncoderGroup]) -> dict[tuple[str, str], PlanRow]:
    """Rows of slides of which something is stored; with several encoders the last one's."""
    tilings = {
        group.tiling: group.settings.tiling
        for group in groups
        if isinstance(group.settings, ExtractConfig)
    }
    status = {
        Outcome.SKIPPED: PlanStatus.STORED,
        Outcome.EMPTY: PlanStatus.EMPTY,
        Outcome.FAILED: PlanStatus.FAILED,
    }
    return {
        (row.slide_id, row.tiling): in_tiling(
            blank_row(row.slide_id, status[row.outcome], row.reason, row.n_tiles),
            tilings.get(row.tiling),
        )
        for row in agenda.rows
    }
