"""A whole extraction: manifest and encoders in, partitions and a run table out."""

import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from histo_ray.cluster.autoscale import Recruiter
from histo_ray.cluster.observer import Observer
from histo_ray.cluster.pool import start_readers
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.start import start_pipeline
from histo_ray.config import ExtractConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.errors import StoreError
from histo_ray.extract.resources import plan_workers
from histo_ray.extract.resume import plan_agenda
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import stored_name
from histo_ray.extract.work import SlideWork
from histo_ray.slides.manifest import open_manifest
from histo_ray.storage.check import check_place
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.run_record import RunRecord, State
from histo_ray.store.store import Store, open_store
from histo_ray.tiles.pixels import check_tissue_pattern
from histo_ray.types import RunRow

SAVE_EVERY_S = 60.0
"""The run table is written this often, so that a killed driver leaves most of it."""

Report = Callable[[Counts], None]


@dataclass(frozen=True)
class RunSummary:
    """What became of a run."""

    run_id: str
    rows: list[RunRow]
    counts: Counts
    record: RunRecord
    unfinished: int
    """Slides without an outcome, where the run was interrupted."""

    @property
    def seconds(self) -> float:
        """From the command's start."""
        return self.record.seconds

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.record.state == "interrupted"

    @property
    def outcomes(self) -> dict[str, int]:
        """How many slides and encoders ended how."""
        return dict(Counter(row.outcome for row in self.rows))


def run_extract(
    config: ExtractConfig,
    report: Report = lambda counts: None,
    tell: Callable[[str], None] = lambda text: None,
) -> RunSummary:
    """Bring every slide of the manifest, with every encoder, into the store.

    Args:
        config: What to do.
        report: Called about once a second with how far the run is.
        tell: Called before the work with lines on the manifest: patients, doubts.

    Returns:
        One row a slide and encoder. Interrupted by Ctrl-C, it holds those that have an outcome.

    Raises:
        HistoRayError: The run could not start, or something that is not one slide's fate.
    """
    began = time.monotonic()
    check_shipped(config)
    check_place(config.store, "store")
    manifest = open_manifest(config.manifest)
    slides = manifest.slides
    specs = resolve_encoders(config)
    check_tissue_pattern(config.tissue, config.mask_classes)
    store = open_store(config.store, create=True)
    store.sweep()
    run_id = name_run()
    names = [stored_name(spec.name, config.dtype) for spec in specs]
    agenda = plan_agenda(slides, names, store, config)
    for line in (*manifest.notes, *agenda.notes):
        tell(line)
    rows, counts = agenda.rows, Counts(0)
    observer = Observer(run_id, config, names, began)
    recorder = Recorder(store, run_id, rows, observer)
    state: State = "stopped"
    try:
        if agenda.todo:
            with recorder.save_whatever_comes(), ray_session(config.address) as nodes:
                workers = plan_workers(nodes, config)
                readers = start_readers(config, workers)
                pipeline = start_pipeline(config, specs, workers, store, run_id, readers)
                counts = pipeline.counts
                pipeline.recruit = Recruiter(config, specs, nodes).look
                with pipeline, observer.watch(pipeline, workers, nodes, report):
                    pipeline.run(agenda.todo, recorder.add)
        state = "finished"
    except KeyboardInterrupt:
        state = "interrupted"
    unfinished = len(agenda.todo) - counts.slides_done
    return RunSummary(run_id, rows, counts, recorder.close(state), unfinished)


def name_run() -> str:
    """A run's name: when it began, and a few random digits."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S-") + secrets.token_hex(3)


class Recorder:
    """Collects the rows of the run table and writes it now and then."""

    def __init__(self, store: Store, run_id: str, rows: list[RunRow], observer: Observer) -> None:
        self._store = store
        self._run_id = run_id
        self._rows = rows
        self._observer = observer
        self._saved = -math.inf  # the first slide is told at once: a killed run leaves a trace

    def add(self, work: SlideWork) -> None:
        """Take the rows of a slide that is finished."""
        rows = work.rows()
        self._rows.extend(rows)
        self._observer.note(rows, work.restarts)
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self.save("running")

    def save(self, state: State) -> RunRecord:
        """Write the table as far as it is known; what it says of the run."""
        record = self._observer.record(self._rows, state)
        if self._rows:  # a run that could not start leaves no table
            self._store.write_run(self._run_id, self._rows, record)
            self._saved = time.monotonic()
        return record

    def close(self, state: State) -> RunRecord:
        """Write the table for the last time."""
        record = self.save(state)
        self._observer.close(record)
        return record

    @contextmanager
    def save_whatever_comes(self) -> Iterator[None]:
        """Write the table where an error ends the run; if it cannot be, that is not what is told.

        The disk that is full is then what ended the run in the first place.
        """
        try:
            yield
        except Exception:
            with suppress(StoreError):
                self.close("stopped")
            raise
