"""Measure how soon each verb says something: CPU and wall time to its first line, CPU to its end.

    python -m benchmarks.first_line [--rounds 3]

Works on a store of 60 made patients in a temporary folder. CPU is that of the process itself (user
and system), read when the first line arrives, on whichever stream.
"""

import argparse
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from histo_ray.store.store import open_store
from testing.partitions import facts_of, rows_of

TICKS = os.sysconf("SC_CLK_TCK")
VERBS = (
    "--version",
    "--help",
    "store ls STORE",
    "store sql STORE show+tables",
    "store verify STORE",
    "runs STORE",
    "encoders",
    "doctor --measure-s 0",
    "plan --manifest none.csv --store STORE --encoder imgnet2048",
    "extract --manifest none.csv --store STORE --encoder imgnet2048",
    "evaluate mutation --store STORE --labels none.csv --encoder e",
    "fit mutation --store STORE --labels none.csv --encoder e --name p",
    "predict --predictor STORE/predictors/p --store STORE",
    "heatmap STORE --predictor p --slide S1 --out maps",
    "report STORE --out report.html",
    "finetune --tiles none --encoder imgnet2048 --name n --store STORE",
    "demo --small --out demo",
    "view STORE",
)
"""Calls; those that name what is not there end with a sentence, after the imports of their work."""


class Timing(NamedTuple):
    """Times of one call, s."""

    first_cpu: float
    first_wall: float
    whole_cpu: float


def time_call(words: Sequence[str], folder: Path, patience_s: float = 20.0) -> Timing:
    """Run the program, and time its first line; it is ended where it serves or works on."""
    began = time.monotonic()
    command = [sys.executable, "-m", "histo_ray", *words]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        streams = [one for one in (process.stdout, process.stderr) if one is not None]
        select.select(streams, [], [], patience_s)
        first_wall, first_cpu = time.monotonic() - began, _read_cpu(process.pid)
        whole = first_cpu
        if words[0] in ("view", "demo"):
            process.terminate()
        for stream in streams:
            stream.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        if words[0] not in ("view", "demo"):
            whole = usage.ru_utime + usage.ru_stime
    return Timing(first_cpu, first_wall, whole)


def _read_cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(str(folder / "STORE"), create=True)
        for number in range(60):
            facts = facts_of(f"S{number}")
            store.commit(facts.key, facts, rows_of(9))
        print(
            "| call | first line, CPU ms | first line, wall ms | whole, CPU ms |\n|---|---|---|---|"
        )
        for call in VERBS:
            words = [word.replace("+", " ") for word in call.split()]
            found = [time_call(words, folder) for _ in range(rounds)]
            figures = [f"{1000 * median(column):,.0f}" for column in zip(*found, strict=True)]
            print(f"| `{call.replace('+', ' ')}` | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
