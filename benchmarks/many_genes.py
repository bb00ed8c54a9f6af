"""Expression of many genes end to end: seconds, CPU seconds and memory of each stage, rows and MB.

    OMP_NUM_THREADS=1 nice -n 10 python -m benchmarks.many_genes --genes 2000 [--folder DIR]

SYNTHETIC patients: 453 of one slide each, features (2,048) of two encoders, 5 folds x 50 repeats,
1,000 permuted genes, 20 sites. The evaluation runs as `histo-ray evaluate expression --address
local` does; then the report is written and the store asked a question in SQL. Memory is the sum
over all processes, Ray's included, of their shares of resident memory (PSS), sampled; `--keep`
leaves store and report in the folder. JSON to stdout.
"""

import argparse
import functools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.api.evaluate import evaluate
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.page import write_report
from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from testing.partitions import facts_of

ENCODERS, SITES = ("plain", "tuned"), 20
STAGES = {
    "prepare": ("histo_ray.evaluate.patients.patient_run", "prepare_patients"),
    "fit": ("histo_ray.evaluate.engine", "run_job"),
    "tests and intervals": ("histo_ray.evaluate.patients.patient_tables", "score_plan"),
    "permuted genes": ("histo_ray.evaluate.patients.scored_plan", "measure_null"),
    "scores by site": ("histo_ray.evaluate.patients.scored_plan", "score_reviews"),
    "tables by site": ("histo_ray.evaluate.patients.patient_tables", "tabulate_reviews"),
    "scores written": ("histo_ray.evaluate.patients.patient_tables", "write_scores"),
    "other tables": ("histo_ray.evaluate.patients.patient_run", "write_patient_tables"),
}
"""Functions whose time is a stage of its own; what they call in turn counts there alone."""
SAMPLE_S = 0.5


class Stages:
    """Seconds, CPU seconds and peak memory by stage, of this process and all it started."""

    def __init__(self) -> None:
        """Begin outside all stages."""
        self.found: dict[str, dict[str, float]] = {}
        self._stack = ["other"]
        self._process, self._ended = psutil.Process(), threading.Event()
        self._cpu: dict[int, float] = {}
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._since = time.perf_counter()
        self._thread.start()

    @contextmanager
    def enter(self, name: str) -> Iterator[None]:
        """Count what follows to a stage."""
        self._close()
        self._stack.append(name)
        try:
            yield
        finally:
            self._close()
            self._stack.pop()

    def stop(self) -> dict[str, dict[str, float]]:
        """End, and return what was found, rounded."""
        self._close()
        self._ended.set()
        self._thread.join()
        return {
            stage: {name: round(value, 1) for name, value in own.items()}
            for stage, own in self.found.items()
        }

    def _close(self) -> None:
        now, own = time.perf_counter(), self._own()
        own["seconds"] += now - self._since
        own["cpu_seconds"] += self._take_cpu()
        self._since = now

    def _own(self) -> dict[str, float]:
        blank = {"seconds": 0.0, "cpu_seconds": 0.0, "all_mib": 0.0, "largest_process_mib": 0.0}
        return self.found.setdefault(self._stack[-1], blank)

    def _processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _take_cpu(self) -> float:
        spent = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent += times.user + times.system - self._cpu.get(process.pid, 0.0)
            self._cpu[process.pid] = times.user + times.system
        return spent

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            shares, largest = 0, 0
            for process in self._processes():
                try:
                    memory = process.memory_full_info()
                except psutil.Error:
                    continue
                shares, largest = shares + memory.pss, max(largest, memory.rss)
            own = self._own()
            own["all_mib"] = max(own["all_mib"], shares / 2**20)
            own["largest_process_mib"] = max(own["largest_process_mib"], largest / 2**20)


def write_inputs(folder: Path, patients: int, genes: int, dim: int) -> None:
    """Write the store and the labels: every fifth gene follows what features tell."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(patients, 60)) * np.logspace(0.7, -0.5, 60)
    names = [f"P{number:04d}" for number in range(patients)]
    values = rng.normal(size=(patients, genes))
    values[:, ::5] += hidden @ rng.normal(size=(60, len(range(0, genes, 5)))) / 8
    columns = {f"G{number:05d}": column for number, column in enumerate(values.T)}
    pq.write_table(pa.table({"patient_id": names, **columns}), folder / "expression.parquet")
    store = open_store(str(folder / "store"), create=True)
    for encoder in ENCODERS:
        made = hidden @ rng.normal(size=(60, dim)) + rng.normal(size=(patients, dim))
        vectors = made.astype(np.float16)
        for at, patient in enumerate(names):
            site = f"{at % SITES:02d}"
            facts = facts_of(f"{patient}-S", encoder, "t0", dim, patient_id=patient, site=site)
            ones = np.ones(1, np.float32)
            rows = TileRows(np.zeros((1, 2), np.int32), ones, ones, vectors[[at]])
            store.commit(facts.key, facts, [rows])


def watch(stages: Stages) -> None:
    """Have each stage's function count as one."""
    for stage, (module, name) in STAGES.items():
        holder = import_module(module)
        setattr(holder, name, _count(getattr(holder, name), stage, stages))


def _count(work: Callable[..., Any], stage: str, stages: Stages) -> Callable[..., Any]:
    @functools.wraps(work)
    def counted(*args: Any, **keywords: Any) -> Any:
        with stages.enter(stage):
            return work(*args, **keywords)

    return counted


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate, report and ask."""
    store = str(folder / "store")
    stages = Stages()
    with stages.enter("inputs made"):
        write_inputs(folder, args.patients, args.genes, args.dim)
    watch(stages)
    task = TASKS["expression"]
    settings = {
        "store": store, "labels": str(folder / "expression.parquet"), "encoder": ENCODERS,
        "repeats": args.repeats, "permutations": args.permutations, "address": args.address,
    }  # fmt: skip
    result = evaluate(task, task.config.model_validate(settings))
    with stages.enter("report"):
        write_report(store, str(folder / "report.html"))
    with stages.enter("SQL"):
        question = "select count(*) from predictions where target = 'G00005'"
        rows = open_store(store).sql(question).fetchall()
    run = folder / "store" / result.evaluation.folder.folder
    return {
        "stages": stages.stop(),
        "rows_of_a_gene": rows[0][0],
        "report_mb": round((folder / "report.html").stat().st_size / 1e6, 2),
        "tables": {
            path.stem: [pq.read_metadata(path).num_rows, round(path.stat().st_size / 1e6, 1)]
            for path in sorted(run.glob("*.parquet"))
        },
        "run_json_mb": round((run / "run.json").stat().st_size / 1e6, 2),
    }


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_genes")
    for name, default in (
        *(("genes", 2000), ("patients", 453), ("dim", 2048), ("repeats", 50)),
        ("permutations", 1000),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--address", default="local", help="none: this process alone")
    parser.add_argument("--folder", type=Path, help="where files are made (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="leave store and report in --folder")
    args = parser.parse_args()
    before = os.getloadavg()[0]
    if args.keep:
        found = measure(args.folder, args)
    else:
        with tempfile.TemporaryDirectory(dir=args.folder) as made:
            found = measure(Path(made), args)
    given = {name: value for name, value in vars(args).items() if name not in ("folder", "keep")}
    facts = {"load": [round(before, 1), round(os.getloadavg()[0], 1)], **given, **found}
    json.dump(facts, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
