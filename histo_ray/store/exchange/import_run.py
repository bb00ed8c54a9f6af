"""A whole import: slides side by side, each an outcome with a reason, and a run table."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from histo_ray._version import __version__
from histo_ray.config import digest
from histo_ray.errors import SlideError, StoreError
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.import_plan import (
    MatchedSlides,
    check_names,
    describe_encoder,
    find_features,
    list_imported,
    match_slides,
    note_features,
    restrict_slides,
)
from histo_ray.store.exchange.import_slide import ImportOrder, KnownSlide, import_slide, reading
from histo_ray.store.exchange.source import SourceSlide
from histo_ray.store.exchange.source_digest import digest_source, look_at_source
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.layout import check_slug
from histo_ray.store.manifest_columns import pack_columns
from histo_ray.store.store import Store, open_store
from histo_ray.types import Outcome, Receipt, RunRow, Slide

THREADS = 4
"""Slides at once: digests and writing run beside the reading of HDF5, which is one at a time."""
SAVE_EVERY_S = 60.0
"""The run table is written this often, so that a killed import leaves most of it."""

Measure = Callable[[Slide], KnownSlide]
"""Looks at a slide of the manifest, where it can be opened, for its size and mpp.

Raises SlideError where it can be opened but not used.
"""
Report = Callable[[int, int], None]
Notify = Callable[[str], None]


@dataclass
class ImportSummary:
    """Result of an import."""

    run_id: str
    state: ExtractionState = ExtractionState.STOPPED
    rows: list[RunRow] = field(default_factory=list)
    """One a slide that has an outcome."""
    unfinished: int = 0
    """Slides without an outcome, where it was interrupted."""
    record: RunRecord | None = None

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of slides, by outcome."""
        return dict(Counter(row.outcome for row in self.rows))


def run_import(
    config: ImportConfig,
    manifest: Sequence[Slide] | None,
    measure: Measure,
    report: Report = lambda done, total: None,
    notify: Notify = lambda text: None,
) -> ImportSummary:
    """Bring the features of one encoder into a store.

    Args:
        config: What to import.
        manifest: Slides to import; None: all that are there.
        measure: Looks at slides.
        report: Called with (slides that have an outcome, slides).
        notify: Called with lines on what was found.

    Returns:
        One row a slide; interrupted by Ctrl-C, those that have an outcome.

    Raises:
        ConfigError: No such features, or of several layouts or encoders.
        StoreError: The encoder's name is in use, or the store cannot be written.
    """
    began = time.monotonic()
    found = find_features(config)
    matched = restrict_slides(match_slides(found.features.slides, manifest), config.slide)
    store = open_store(config.store, create=True)
    store.sweep()
    before = list_imported(store, check_slug("encoder", config.encoder))
    encoder = describe_encoder(config, found, store, before.receipts)
    for line in note_features(found, matched):
        notify(line)
    run_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-") + secrets.token_hex(3)
    named = found.features.encoder
    order = ImportOrder(
        config, store, found.layout, found.folder, encoder, named, run_id, before.damaged
    )
    recorder = _Recorder(store, config, ImportSummary(run_id), began)
    for slide in matched.lacking:
        reason = f"no file of it in {found.folder}; its features were not made, or not copied"
        recorder.add(_row(slide, order, Outcome.FAILED, reason))
    return _work_off(order, matched, measure, before.receipts, recorder, report)


def _work_off(
    order: ImportOrder,
    matched: MatchedSlides,
    measure: Measure,
    before: Mapping[str, Receipt],
    recorder: "_Recorder",
    report: Report,
) -> ImportSummary:
    problems = check_names(matched.pairs)

    def work(pair: tuple[SourceSlide, Slide]) -> RunRow:
        source, slide = pair
        problem = problems.get(source.name, "")
        return _bring(order, source, slide, measure, before.get(slide.slide_id), problem)

    summary, total = recorder.summary, len(matched.pairs) + len(matched.lacking)
    with ThreadPoolExecutor(THREADS) as pool:
        futures: list[Future[RunRow]] = [pool.submit(work, pair) for pair in matched.pairs]
        try:
            for future in as_completed(futures):
                recorder.add(future.result())
                report(len(summary.rows), total)
            summary.state = ExtractionState.FINISHED
        except KeyboardInterrupt:
            summary.state = ExtractionState.INTERRUPTED
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            summary.unfinished = total - len(summary.rows)
            recorder.close()
    return summary


def _bring(
    order: ImportOrder,
    source: SourceSlide,
    slide: Slide,
    measure: Measure,
    before: Receipt | None,
    problem: str,
) -> RunRow:
    """What becomes of one slide."""
    began = time.monotonic()
    try:
        if problem:
            raise SlideError(source.name, problem)
        if before is not None and _is_stored(order, source, before):
            return _row(slide, order, Outcome.SKIPPED, "", before.tile_count)
        receipt, remark, written = import_slide(order, source, measure(slide), before)
    except SlideError as error:
        return _row(slide, order, Outcome.FAILED, error.problem, 0, time.monotonic() - began)
    if not written:
        return _row(slide, order, Outcome.SKIPPED, "", receipt.tile_count)
    outcome = Outcome.DONE if receipt.tile_count else Outcome.EMPTY
    said = remark if receipt.tile_count else receipt.empty_reason
    return _row(slide, order, outcome, said, receipt.tile_count, time.monotonic() - began)


def _is_stored(order: ImportOrder, source: SourceSlide, before: Receipt) -> bool:
    """Whether the store has a slide from the same files, so that nothing is to do.

    Raises:
        SlideError: The store has it from other files.
    """
    was = before.imported
    if was is None or order.config.replace_changed:
        return False
    with reading(source):
        look = look_at_source(source.files)
        same = (was.size_bytes, was.mtime_ns) == tuple(look)
        same = same or digest_source(source.files) == was.sha256
    if not same:
        raise SlideError(
            source.name,
            f"the store has it from other files (imported {before.created_at[:10]}, SHA-256 "
            f"{was.sha256[:12]}...); --replace-changed imports these in their place",
        )
    return True


def _row(
    slide: Slide,
    order: ImportOrder,
    outcome: Outcome,
    reason: str,
    tiles: int = 0,
    seconds: float = 0.0,
) -> RunRow:
    return RunRow(
        slide_id=slide.slide_id,
        encoder=order.encoder.name,
        outcome=outcome,
        reason=reason,
        n_tiles=tiles,
        seconds=seconds,
        patient_id=slide.patient_id,
        synthetic=slide.synthetic,
        site=slide.site,
        manifest=pack_columns(slide.extra),
    )


class _Recorder:
    """Collects rows, and writes the run table now and then."""

    def __init__(
        self, store: Store, config: ImportConfig, summary: ImportSummary, began: float
    ) -> None:
        self._store, self._config, self._began = store, config, began
        self._began_at = datetime.now(UTC)
        self._saved = time.monotonic()
        self.summary = summary

    def add(self, row: RunRow) -> None:
        """Take the row of a slide."""
        self.summary.rows.append(row)
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self._save(ExtractionState.RUNNING)

    def close(self) -> None:
        """Write the table for the last time; what ended the import goes before what this meets."""
        self.summary.rows.sort(key=lambda row: row.slide_id)
        if self.summary.state is ExtractionState.STOPPED:
            with suppress(StoreError):
                self._save(self.summary.state)
        else:
            self._save(self.summary.state)

    def _save(self, state: ExtractionState) -> None:
        rows, settings = self.summary.rows, self._config.model_dump(mode="json")
        seconds = time.monotonic() - self._began
        self.summary.record = RunRecord(
            run_id=self.summary.run_id,
            state=state,
            began_at=self._began_at.isoformat(timespec="seconds"),
            encoders=(self._config.encoder,),
            outcomes={str(name): count for name, count in self.summary.outcomes.items()},
            slides=len(rows),
            seconds=seconds,
            work_s=seconds,
            settings=self._config.model_dump(mode="json", exclude_defaults=True),
            settings_sha256=digest(settings),
            versions={"histo_ray": __version__},
        )
        if rows:
            self._store.write_run(self.summary.run_id, rows, self.summary.record)
        self._saved = time.monotonic()
