"""A dry run: what an extraction would read, write and take.

Ray is imported only where it spreads the work: a plan of some slides takes less time than Ray needs
to start.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from histo_ray.config import ExtractConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.extract.plan_here import PlanHere
from histo_ray.extract.plan_processes import count_cores, start_server
from histo_ray.extract.plan_summary import (
    Measured,
    Planned,
    Planner,
    PlanRow,
    PlanSummary,
    Report,
    Tell,
    blank_row,
)
from histo_ray.extract.resources import Node, Workers, plan_workers
from histo_ray.extract.resume import Agenda, plan_agenda
from histo_ray.extract.slide import stored_name
from histo_ray.slides.manifest import Manifest, open_manifest
from histo_ray.storage.check import check_place
from histo_ray.store.store import peek_store
from histo_ray.tiles.pixels import check_tissue_pattern

SLIDES_HERE = 300
"""Most slides that processes of this program open; more are spread by Ray."""

Opened = Callable[[list[PlanRow], dict[str, str]], None]


def survey_slides(config: ExtractConfig) -> PlanSummary:
    """Compare the manifest with the store; no slide is opened, and Ray is not started.

    Every file has been seen to exist. Slides that the store lacks are `todo`; those that it has
    count as unchanged.

    Raises:
        HistoRayError: The extraction could not start.
    """
    manifest, _, agenda = _prepare(config, open_files=False)
    rows = _known_rows(agenda)
    for work in agenda.todo:
        rows[work.slide.slide_id] = blank_row(work.slide.slide_id, "todo")
    ordered = [rows[slide.slide_id] for slide in manifest.slides]
    notes = (*manifest.notes, *agenda.notes)
    return PlanSummary(ordered, None, None, None, None, undrawn={}, notes=notes)


def run_plan(
    config: ExtractConfig,
    report: Report = lambda planned, total: None,
    pictures: Path | None = None,
    opened: Opened = lambda rows, undrawn: None,
    tell: Tell = lambda text: None,
) -> PlanSummary:
    """Plan every slide that the store lacks, measure one batch, and write nothing to the store.

    Args:
        config: The extraction.
        report: Called with what is planned so far, and the number of slides to be planned.
        pictures: Folder for one PNG a slide: overview, tissue outline, tiles.
        opened: Called with all rows, and the slides without a picture and why, before a batch is
            measured.
        tell: Called with what is done next.

    Raises:
        HistoRayError: The extraction could not start.
    """
    if not _on_cluster(config):
        start_server()
    manifest, specs, agenda = _prepare(config, open_files=True)
    rows = _known_rows(agenda)
    planned, measured = Planned(), Measured()
    undrawn: dict[str, str] = {}

    def tell_rows() -> list[PlanRow]:
        for row in planned.rows:
            rows[row.slide_id] = row
            if pictures and row.status == "failed":
                undrawn[row.slide_id] = "the slide cannot be opened or planned, see above"
        ordered = [rows[slide.slide_id] for slide in manifest.slides]
        opened(ordered, undrawn)
        return ordered

    if agenda.todo:
        with _choose_planner(config, specs, agenda, tell) as planner:
            planner.plan([(work.slide, work.wanted) for work in agenda.todo], planned, report)
            if pictures:
                tell("drawing pictures")
                pictures.mkdir(parents=True, exist_ok=True)
                undrawn |= planner.draw(planned.slides, pictures.absolute())
            ordered = tell_rows()
            if planned.tiles:
                tell("loading the encoders to measure one batch")
                measured = planner.measure(planned)
    else:
        ordered = tell_rows()
    return PlanSummary(
        rows=ordered,
        tiles=planned.tiles,
        vectors=planned.vectors.total(),
        bytes=planned.count_bytes(measured.facts),
        seconds=measured.seconds,
        undrawn=undrawn,
        notes=(*manifest.notes, *agenda.notes),
    )


def _on_cluster(config: ExtractConfig) -> bool:
    return config.address != "local" or "RAY_ADDRESS" in os.environ


def _choose_planner(
    config: ExtractConfig, specs: list[EncoderSpec], agenda: Agenda, tell: Tell
) -> Planner:
    if not _on_cluster(config) and len(agenda.todo) <= SLIDES_HERE:
        return PlanHere(config, specs, partial(_shape_here, config))
    tell("starting Ray")
    from histo_ray.cluster.plan_on_ray import PlanOnRay  # Ray takes seconds to import

    return PlanOnRay(config, specs)


def _shape_here(config: ExtractConfig, gpus: int) -> Workers:
    """Processes of a run on this machine alone."""
    return plan_workers([Node(float(count_cores()), float(gpus), 0)], config)


def _prepare(
    config: ExtractConfig, *, open_files: bool
) -> tuple[Manifest, list[EncoderSpec], Agenda]:
    """Manifest, encoders, and what is to do; checks all that can be checked before the start."""
    check_place(config.store, "store")
    manifest = open_manifest(config.manifest)
    specs = resolve_encoders(config)
    check_tissue_pattern(config.tissue, config.mask_classes)
    names = [stored_name(spec.name, config.dtype) for spec in specs]
    store = peek_store(config.store)
    agenda = plan_agenda(manifest.slides, names, store, config, open_files=open_files)
    return manifest, specs, agenda


def _known_rows(agenda: Agenda) -> dict[str, PlanRow]:
    """Slides of which something is stored; with several encoders the last one's row."""
    rows = {}
    for row in agenda.rows:
        status = "stored" if row.outcome == "skipped" else row.outcome
        rows[row.slide_id] = blank_row(row.slide_id, status, row.reason, row.n_tiles)
    return rows
