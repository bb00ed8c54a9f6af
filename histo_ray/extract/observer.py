"""Watches one run: its record, its metrics, a line of log a slide. Costs nothing a tile."""

import json
import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from histo_ray._version import __version__
from histo_ray.config import PLACEMENT, RunSettings, digest
from histo_ray.extract.bottleneck import find_bottleneck
from histo_ray.extract.metric_samples import Sampler, at_rest
from histo_ray.extract.pipeline import RunPipeline
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.usage import measure_load
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.types import Outcome, RunRow

SAMPLE_EVERY_S = 5.0
"""Between two exports of metrics."""
VERSIONS = ("ray", "torch", "timm", "pyarrow")
"""Packages whose versions a record holds."""

slide_log = logging.getLogger("histo_ray.slides")
"""Lines of JSON at level INFO, one a slide and a last one of the run; no handler by default."""


class Observer:
    """Record, metrics and log of one run."""

    def __init__(
        self, run_id: str, settings: RunSettings, encoders: Sequence[str], began: float
    ) -> None:
        """Begin to watch a run.

        Args:
            run_id: Its name.
            settings: What it was asked for.
            encoders: Their names in the store.
            began: time.monotonic() when its command began.
        """
        self._run_id = run_id
        self._settings = settings
        self._encoders = tuple(encoders)
        self._began = began
        self._began_at = datetime.now(UTC) - timedelta(seconds=time.monotonic() - began)
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._pipeline: RunPipeline | None = None

    @contextmanager
    def watch(self, pipeline: RunPipeline, report: Callable[[Counts], None]) -> Iterator[None]:
        """Look at a pipeline while it works; it reports to `report` as well."""
        workers = pipeline.workers
        gpus = workers.encoders * workers.encoder_gpus
        readers, encoders = pipeline.readers, pipeline.encoders
        sampler = Sampler(readers, encoders, gpus, pipeline.nodes, self._settings.tile_px)
        sampled = time.monotonic()

        def export(over: bool) -> None:
            nonlocal sampled
            span_s, sampled = time.monotonic() - sampled, time.monotonic()
            samples = sampler.take(pipeline.counts, self._outcomes, span_s)
            pipeline.export(at_rest(samples) if over else samples)

        def look(counts: Counts) -> None:
            report(counts)
            if time.monotonic() - sampled >= SAMPLE_EVERY_S:
                export(False)

        self._pipeline = pipeline
        pipeline.report = look
        try:
            yield
        finally:
            export(True)

    def note(self, slide_rows: Sequence[RunRow], restarts: int = 0) -> None:
        """Take the outcome of a slide: one row an encoder."""
        self._outcomes.update((row.encoder, row.outcome) for row in slide_rows)
        if slide_log.isEnabledFor(logging.INFO):
            self._log("slide", describe_slide(slide_rows) | {"restarts": restarts})

    def record(self, rows: Sequence[RunRow], state: ExtractionState) -> RunRecord:
        """Describe the run as it is now.

        Args:
            rows: Its table so far.
            state: What it is at.
        """
        record = RunRecord(
            run_id=self._run_id,
            state=state,
            began_at=self._began_at.isoformat(timespec="seconds"),
            encoders=self._encoders,
            outcomes={str(k): n for k, n in Counter(row.outcome for row in rows).items()},
            slides=len({row.slide_id for row in rows}),
            seconds=time.monotonic() - self._began,
            settings=self._settings.model_dump(mode="json", exclude_defaults=True),
            settings_sha256=digest(digested_settings(self._settings)),
            versions={
                "histo_ray": __version__,
                "python": platform.python_version(),
                **{package: version(package) for package in VERSIONS},
            },
        )
        if self._pipeline is None:
            return record
        return record_work(record, self._pipeline, self._began)

    def close(self, record: RunRecord) -> None:
        """Write the record of the run that is over as the last line of its log."""
        if slide_log.isEnabledFor(logging.INFO):
            self._log("run", record.model_dump(mode="json"))

    def _log(self, event: str, what: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": event, "run_id": self._run_id, **what}
        slide_log.info("%s", json.dumps(line, ensure_ascii=False))


def digested_settings(settings: RunSettings) -> dict[str, object]:
    """Settings that a digest holds: those of placement where stated, so older digests stay."""
    stated = set(settings.model_dump(exclude_defaults=True))
    return settings.model_dump(mode="json", exclude=set(PLACEMENT) - stated)


def describe_slide(rows: Sequence[RunRow]) -> dict[str, object]:
    """One slide's line of log, from its rows of the run table, which are one an encoder."""
    worst = next((row for row in rows if row.outcome == Outcome.FAILED), rows[0])
    return {
        "slide_id": worst.slide_id,
        "outcome": worst.outcome,
        "reason": worst.reason,
        "n_tiles": max(row.n_tiles for row in rows),
        "seconds": round(worst.seconds, 3),
        "encoders": {row.encoder: row.outcome for row in rows},
    }


def record_work(record: RunRecord, pipeline: RunPipeline, began: float) -> RunRecord:
    """Add to a record what is known once there are processes.

    Args:
        record: Of the run.
        pipeline: At work, or done.
        began: time.monotonic() when the command began.
    """
    counts, workers, nodes = pipeline.counts, pipeline.workers, pipeline.nodes
    startup_s = (counts.began or time.monotonic()) - began
    readers, encoders = pipeline.readers, pipeline.encoders
    float32 = any(facts.precision == "float32" for facts in pipeline.facts.values())
    devices = counts.devices or {facts.device for facts in pipeline.facts.values()}
    load = measure_load(counts, readers, encoders, workers, nodes, startup_s, float32)
    verdict = find_bottleneck(load, taking_turns=pipeline.takes_turns)
    memory = [node.gpu_memory_bytes for node in nodes if node.gpu_memory_bytes]
    span_s = counts.encode_ended - counts.encode_began
    return record.model_copy(
        update={
            "startup_s": load.startup_s,
            "ray_start_s": counts.start.ray_s,
            "process_start_s": counts.start.processes_s,
            "loading_s": counts.start.loading_s,
            "work_s": load.work_s,
            "tiles_read": counts.tiles_read,
            "tiles_encoded": counts.tiles_encoded,
            "tiles_per_s": counts.tiles_encoded / span_s if span_s > 0 else 0.0,
            "file_bytes": load.plan.file_bytes + load.read.file_bytes,
            "nodes": len(nodes),
            "cores": load.cores,
            "gpus": int(sum(node.gpus for node in nodes)),
            "readers": len(readers),
            "encoder_workers": len(encoders),
            "encoder_threads": load.threads,
            "batch_size": workers.batch_size,
            "gpu_memory_gb": min(memory, default=0) / 1e9,
            "reader_busy": load.reader_busy,
            "encoder_busy": load.encoder_busy,
            "gpu_busy": load.gpu_busy,
            "cores_busy": load.cores_busy,
            "storage_wait": load.storage_wait,
            "blocks_waiting": load.blocks_waiting,
            "deaths": counts.deaths,
            "restarts": counts.restarts,
            "devices": tuple(sorted(devices)),
            "left_out": tuple(counts.left_out),
            "smallest_batch": counts.smallest_batch,
            "bottleneck": verdict.bottleneck,
            "hint": verdict.hint,
        }
    )
