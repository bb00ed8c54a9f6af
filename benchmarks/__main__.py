"""`python -m benchmarks [--quick] [NAME ...]`: JSON to stdout, a table to stderr.

`python -m benchmarks compare OLD NEW` tells what got slower between runs that were kept.
"""

import argparse
import json
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import Benchmark, Figure, Options, Result
from benchmarks.bench_store import run_benchmark
from benchmarks.biopsies import measure_biopsies
from benchmarks.compare import main as compare
from benchmarks.encoding import measure_encoding
from benchmarks.formats import measure_formats
from benchmarks.history import FOLDER, describe_code, describe_processor, keep_run
from benchmarks.memory import measure_memory
from benchmarks.readers import measure_readers
from benchmarks.reading import measure_reading
from benchmarks.reading_bound import measure_reading_bound
from benchmarks.scale import measure_scale
from benchmarks.start import measure_start
from benchmarks.throughput import measure_throughput
from benchmarks.two_encoders import measure_two_encoders


def measure_bag(options: Options) -> Result:
    """Reading one bag from both forms of the store against HDF5 in TRIDENT's layout."""
    tiles, rounds = (3_000, 5) if options.quick else (15_000, 25)
    detail = run_benchmark(options.folder, tiles, rounds)
    figures = [
        Figure(f"times faster than HDF5: {name}", times, ">= 3", times >= 3)
        for name, times in detail["times_faster_than_hdf5"].items()
        if name.startswith("store")
    ]
    return Result(figures, detail)


BENCHMARKS: dict[str, Benchmark] = {
    "reading": measure_reading,
    "formats": measure_formats,
    "encoding": measure_encoding,
    "throughput": measure_throughput,
    "readers": measure_readers,
    "reading_bound": measure_reading_bound,
    "two_encoders": measure_two_encoders,
    "biopsies": measure_biopsies,
    "memory": measure_memory,
    "scale": measure_scale,
    "bag": measure_bag,
    "start": measure_start,
}


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--list", action="store_true", help="print the names, measure nothing")
    parser.add_argument("--quick", action="store_true", help="small: does it run, not how fast")
    parser.add_argument("--rounds", type=int, default=3, help="repeats in turn (default: 3)")
    parser.add_argument(
        "--slide", type=Path, action="append", default=[], help="in place of a synthetic slide"
    )
    parser.add_argument("--encoder", help="in place of the benchmark's own")
    parser.add_argument("--readers", type=int, help="reader processes")
    parser.add_argument("--batch-size", type=int, help="tiles encoded at once")
    parser.add_argument(
        "--history",
        type=Path,
        nargs="?",
        const=FOLDER,
        help="keep the figures as a file of this folder, too (left empty: benchmarks/history)",
    )
    args = parser.parse_args()
    if args.list:
        print("\n".join(BENCHMARKS))
        return
    unknown = sorted(set(args.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such benchmark; known: {', '.join(BENCHMARKS)}")
    settings = {"readers": args.readers, "batch_size": args.batch_size}
    answer: dict[str, Any] = {
        "code": describe_code(),
        "machine": describe_machine(),
        "quick": args.quick,
        "benchmarks": {},
    }
    for name in args.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="histo-ray-bench-") as folder:
            options = Options(
                folder=Path(folder),
                quick=args.quick,
                slides=tuple(args.slide),
                rounds=args.rounds,
                encoder=args.encoder,
                settings={key: value for key, value in settings.items() if value is not None},
            )
            result = BENCHMARKS[name](options)
        print_figures(name, result)
        answer["benchmarks"][name] = asdict(result)
    print(json.dumps(answer, indent=1))
    if args.history:
        print(f"kept as {keep_run(answer, args.history)}", file=sys.stderr)


def describe_machine() -> dict[str, Any]:
    """Where and when the figures were taken."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "words": describe_processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load_before": psutil.getloadavg()[0],
    }


def print_figures(name: str, result: Result) -> None:
    """One line a figure, goal beside it."""
    for figure in result.figures:
        verdict = "" if figure.met is None else ("met" if figure.met else "MISSED")
        value = f"{figure.value:.4g}"
        line = f"{name:<13} {figure.what:<46} {value:>9}  {figure.goal:<8} {verdict}"
        print(line.rstrip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        sys.exit(compare(sys.argv[2:]))
    main()
