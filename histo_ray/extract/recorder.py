"""The run table while a run is at work, and what a caller gets when it is over."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from histo_ray.errors import StoreError
from histo_ray.extract.observer import Observer
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import SubjectWork
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.store import Store
from histo_ray.types import RunRow

SAVE_EVERY_S = 60.0
"""The run table is written this often, so that a killed driver leaves most of it."""


@dataclass(frozen=True)
class RunSummary:
    """Result of a run."""

    run_id: str
    rows: list[RunRow]
    """One a slide and encoder that have an outcome."""
    counts: Counts
    record: RunRecord
    unfinished: int
    """Slides without an outcome, where the run was interrupted."""
    kept: Counter[str] = field(default_factory=Counter)
    """Partitions that were skipped, by the arithmetic of their vectors where the run states
    another one, under "" where it does not."""

    @property
    def seconds(self) -> float:
        """Duration, from the command's start."""
        return self.record.seconds

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended it."""
        return self.record.state == ExtractionState.INTERRUPTED

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of slides and encoders, by outcome."""
        return dict(Counter(row.outcome for row in self.rows))


class Recorder:
    """Collects the rows of the run table and writes it now and then."""

    def __init__(self, store: Store, run_id: str, rows: list[RunRow], observer: Observer) -> None:
        self._store = store
        self._run_id = run_id
        self._rows = rows
        self._observer = observer
        self._saved = -math.inf  # the first slide is written at once: a killed run leaves a trace

    def add(self, work: SubjectWork) -> None:
        """Take the rows of a slide that is finished."""
        rows = work.rows()
        self._rows.extend(rows)
        self._observer.note(rows, work.restarts)
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self.save(ExtractionState.RUNNING)

    def save(self, state: ExtractionState) -> RunRecord:
        """Write the table as far as it is known, and return the record in it."""
        record = self._observer.record(self._rows, state)
        if self._rows:  # a run that could not start leaves no table
            self._store.write_run(self._run_id, self._rows, record)
            self._saved = time.monotonic()
        return record

    def close(self, state: ExtractionState) -> RunRecord:
        """Write the table for the last time."""
        record = self.save(state)
        self._observer.close(record)
        return record

    @contextmanager
    def save_on_error(self) -> Iterator[None]:
        """Write the table where an error ends the run; if that fails, raise the first error.

        The disk that is full is then what ended the run in the first place.
        """
        try:
            yield
        except Exception:
            with suppress(StoreError):
                self.close(ExtractionState.STOPPED)
            raise
