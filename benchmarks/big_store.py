"""What a store of 100,000 partitions costs: list, query, verify, plan, resume.

`python -m benchmarks.big_store [--quick] [--partitions N] [--folder DIR] [STEP ...]`: JSON to
stdout, a table to stderr. Each step is a process of its own, timed from its start to its end,
imports included; memory is its peak resident set. Before a step called cold the page cache is
dropped, which takes root; without it the step says warm. `--folder` keeps the store.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.__main__ import describe_machine
from benchmarks.bench import ask_module
from benchmarks.large_store import ENCODER, LargeStore, make_large_store

PYTHON = sys.executable
HISTO_RAY = (PYTHON, "-m", "histo_ray")


class Step(NamedTuple):
    """One process to measure."""

    what: str
    command: Callable[[LargeStore], Sequence[str]]
    cold: bool = False
    """Whether the page cache is dropped before."""
    catalogue: bool = True
    """Whether the catalogue that an earlier step left is kept."""
    goal_s: float | None = None
    goal_mib: float | None = None


def _store(*verb: str) -> Callable[[LargeStore], Sequence[str]]:
    return lambda made: (*HISTO_RAY, "store", verb[0], str(made.store), *verb[1:])


def _python(line: str) -> Callable[[LargeStore], Sequence[str]]:
    text = "import sys, histo_ray as hr; store = hr.open_store(sys.argv[1]); "
    return lambda made: (PYTHON, "-c", text + line, str(made.store))


def _run(*verb: str, store: str = "") -> Callable[[LargeStore], Sequence[str]]:
    def command(made: LargeStore) -> Sequence[str]:
        place = str(made.store.with_name(store) if store else made.store)
        given = ("--manifest", str(made.manifest), "--store", place, "--encoder", ENCODER)
        return (*HISTO_RAY, *verb, *given)

    return command


def _every_file() -> Callable[[LargeStore], Sequence[str]]:
    """The same count by DuckDB alone, as `store sql` gave it before there were segments."""
    line = (
        "import sys, duckdb; files = sys.argv[1] + '/embeddings/*/*/*.parquet'; "
        "print(duckdb.execute('select count(*) from read_parquet(?, hive_partitioning = true)', "
        "[files]).fetchall())"
    )
    return lambda made: (PYTHON, "-c", line, str(made.store))


COUNT = "select count(*) from embeddings"
SUM = "select sum(n_tiles) from slides"
FILTER = "select encoder, count(*), avg(x) from embeddings where tissue > 0.8 group by all"
JOIN = (
    "select s.site, count(*) from embeddings e join slides s using (slide_id, encoder, tiling) "
    "group by all"
)
STEPS = {
    "ls-cold": Step("store ls", _store("ls"), cold=True, catalogue=False, goal_s=20),
    "ls-warm": Step("store ls, no catalogue", _store("ls"), catalogue=False),
    "ls": Step("store ls", _store("ls"), goal_s=2),
    "ls-catalogue-cold": Step("store ls", _store("ls"), cold=True),
    "slides": Step("store.slides()", _python("print(len(store.slides()))")),
    "receipts": Step("store.receipts()", _python("print(len(store.receipts()))")),
    "sql-slides": Step("sql sum over slides", _store("sql", SUM)),
    "sql-files": Step("count(*) of tiles, every file opened", _every_file()),
    "sql-first": Step("sql count(*) of tiles, no cache", _store("sql", COUNT), catalogue=False),
    "sql-receipts": Step("sql sum over slides, no catalogue", _store("sql", SUM)),
    "sql": Step("sql count(*) of tiles", _store("sql", COUNT), goal_s=2),
    "sql-filter": Step("sql filter of tiles", _store("sql", FILTER), goal_s=2),
    "sql-join": Step("sql join of tiles to slides", _store("sql", JOIN), goal_s=2),
    "plan": Step(
        "plan --no-open, nothing stored",
        _run("plan", "--no-open", store="nothing"),
        goal_s=30,
        goal_mib=1024,
    ),
    "plan-stored": Step(
        "plan --no-open, all stored", _run("plan", "--no-open"), goal_s=30, goal_mib=1024
    ),
    "resume": Step("extract, all stored", _run("extract")),
    "verify": Step("store verify", _store("verify")),
}


def measure_step(step: Step, made: LargeStore) -> dict[str, Any]:
    """Run one step; seconds, CPU seconds, peak MiB and the last line it printed.

    Raises:
        SystemExit: It failed; its own words are above.
    """
    if not step.catalogue:
        shutil.rmtree(made.store / "cache", ignore_errors=True)
    cold = step.cold and drop_page_cache()
    load = round(psutil.getloadavg()[0], 1)
    result = ask_module("benchmarks.measured", *step.command(made))
    if result["exit_code"]:
        raise SystemExit(f"benchmark: {step.what} ended with {result['exit_code']}")
    return {
        "what": step.what,
        "page_cache": "cold" if cold else "warm",
        "load_before": load,
        **result,
        "goal_s": step.goal_s,
        "goal_mib": step.goal_mib,
    }


def drop_page_cache() -> bool:
    """Make the next reads come from the disk; False where that takes rights that we lack."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError:
        return False
    return True


def main() -> None:
    """Make the store, run the steps, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big_store", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--quick", action="store_true", help="1,000 partitions: does it run")
    parser.add_argument("--partitions", type=int, help="default: 100,000")
    parser.add_argument("--folder", type=Path, help="keep the store here (default: a scratch)")
    args = parser.parse_args()
    unknown = sorted(set(args.steps) - set(STEPS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such step; known: {', '.join(STEPS)}")
    count = args.partitions or (1_000 if args.quick else 100_000)
    with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as scratch:
        made = make_large_store(args.folder or Path(scratch), count)
        results = []
        for name in args.steps or STEPS:
            result = measure_step(STEPS[name], made)
            results.append({"step": name, **result})
            print(
                f"{result['what']:<32} {result['page_cache']:<5} {result['seconds']:>8.2f} s "
                f"{result['cpu_seconds']:>8.2f} CPU s {result['peak_mib']:>6} MiB  "
                f"{result['said']}",
                file=sys.stderr,
                flush=True,
            )
    print(json.dumps({"machine": describe_machine(), "count": count, "steps": results}, indent=1))


if __name__ == "__main__":
    main()
