"""A whole extraction: manifest and encoders in, partitions and a run table out.

How the slides are worked on is a parameter (`OpenPipeline`): in this process, or spread by Ray.
What a run is (what is to do, run table, record, states, interruption) is written here once, for
slides and for labelled tile sets.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from histo_ray.config import ExtractConfig, RunSettings, TileSetConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.tile_groups import group_encoders, name_unused
from histo_ray.extract.labelled_tiles import plan_sets, settle_size
from histo_ray.extract.mixed_agenda import plan_groups
from histo_ray.extract.observer import Observer
from histo_ray.extract.pipeline import OpenPipeline, Report, RunOrder
from histo_ray.extract.recorder import Recorder, RunSummary
from histo_ray.extract.resume import Agenda, check_cache
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import stored_name
from histo_ray.slides.manifest import open_manifest
from histo_ray.storage.check import check_place
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.extraction_record import ExtractionState
from histo_ray.store.store import Store, open_store
from histo_ray.tiles.segmenters import settle_tissue
from histo_ray.tilesets.tileset import TileSet

Notify = Callable[[str], None]


def run_extract(
    config: ExtractConfig,
    open_pipeline: OpenPipeline,
    report: Report = lambda counts: None,
    notify: Notify = lambda text: None,
) -> RunSummary:
    """Bring every slide of the manifest, with every encoder, into the store.

    Args:
        config: What to do.
        open_pipeline: How the slides are worked on.
        report: Called about once a second with how far the run is.
        notify: Called before the work with lines on the manifest: patients, caveats.

    Returns:
        One row a slide and encoder. Interrupted by Ctrl-C, it holds those that have an outcome.

    Raises:
        HistoRayError: The run could not start, or something that is not one slide's fate.
    """
    began = time.monotonic()
    check_shipped(config)
    check_place(config.store, "store")
    check_cache(config)
    manifest = open_manifest(config.manifest)
    config = settle_tissue(config)
    specs: Sequence[EncoderSpec] = resolve_encoders(config)
    groups = group_encoders(config, specs)
    settings: RunSettings = config
    if len(groups) == 1:
        settings, specs = groups[0].settings, groups[0].specs
    store = open_store(config.store, create=True)
    store.sweep()
    agenda = plan_groups(manifest.slides, groups, store)
    for line in (*manifest.notes, *agenda.notes, *name_unused(config)):
        notify(line)
    return work_off(settings, specs, store, agenda, began, open_pipeline, report)


def extract_tilesets(
    config: TileSetConfig,
    tilesets: Sequence[TileSet],
    open_pipeline: OpenPipeline,
    report: Report = lambda counts: None,
) -> RunSummary:
    """Bring every tile of every set, with every encoder, into the store; what is there is skipped.

    Each set becomes one partition an encoder, under its name, with its labels and patients; read
    it with `Store.labelled`.

    Args:
        config: Store, encoders and how to run them.
        tilesets: The sets; all of one tile size.
        open_pipeline: How the tiles are worked on.
        report: Called about once a second with how far the run is.

    Returns:
        One row a set and encoder. Interrupted by Ctrl-C, it holds those that have an outcome.

    Raises:
        ConfigError: Sets of one name or of several sizes, a set whose content differs from what
            the store has under its name, or an encoder made for other tiles.
        HistoRayError: The run could not start, or something that is not one set's fate.
    """
    began = time.monotonic()
    config = settle_size(config, tilesets)
    specs = resolve_encoders(config)
    store = open_store(config.store, create=True)
    store.sweep()
    agenda = plan_sets(tilesets, list_stored_names(specs, config), store, config)
    return work_off(config, specs, store, agenda, began, open_pipeline, report)


def list_stored_names(specs: Sequence[EncoderSpec], settings: RunSettings) -> list[str]:
    """Names of encoders in the store."""
    return list(dict.fromkeys(stored_name(spec.name, settings.dtype) for spec in specs))


def work_off(
    settings: RunSettings,
    specs: Sequence[EncoderSpec],
    store: Store,
    agenda: Agenda,
    began: float,
    open_pipeline: OpenPipeline,
    report: Report,
) -> RunSummary:
    """Do the work of an agenda, and keep its run table.

    Args:
        settings: The run.
        specs: Its encoders.
        store: Where partitions and the run table go.
        agenda: What is to do, and the rows that are known already.
        began: time.monotonic() when the command began.
        open_pipeline: How the work is done; not called where nothing is to do.
        report: Called about once a second with how far the run is.

    Raises:
        HistoRayError: Something that is not one subject's fate; the run table says `stopped`.
    """
    run_id, counts = name_run(), Counts(0)
    observer = Observer(run_id, settings, list_stored_names(specs, settings), began)
    recorder = Recorder(store, run_id, agenda.rows, observer)
    state = ExtractionState.STOPPED
    try:
        if agenda.todo:
            order = RunOrder(settings, specs, store, run_id, agenda.todo)
            with recorder.save_on_error(), open_pipeline(order) as pipeline:
                counts = pipeline.counts
                with observer.watch(pipeline, report):
                    pipeline.run(agenda.todo, recorder.add)
        state = ExtractionState.FINISHED
    except KeyboardInterrupt:
        state = ExtractionState.INTERRUPTED
    unfinished = len({work.slide_id for work in agenda.todo}) - counts.slides_done
    record = recorder.close(state)
    return RunSummary(run_id, agenda.rows, counts, record, unfinished, agenda.kept)


def name_run() -> str:
    """Make up the name of a run: when it began, and a few random digits."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S-") + secrets.token_hex(3)
