"""Compare the results of two states of the code on the same synthetic data, bit by bit.

    python -m benchmarks.same_results OLD NEW --work FOLDER

OLD and NEW are checkouts, run by this Python. Each runs the small demo, and a cohort without
tissue detection through extraction and every kind of evaluation. Tables are compared value by
value, receipts by their digests; times, names of runs and versions are left out. At last NEW
is asked for the evaluations that OLD left behind, and must find them done. Exit code 1: something
differs.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

VOLATILE = {"seconds", "run_id", "created_at", "reason"}
"""Columns that differ between two runs of one program; reasons are words."""
RECEIPT_KEYS = ("vectors_sha256", "tile_count", "empty_reason")
ENCODERS = ("random:resnet10t?seed=0&px=64", "random:resnet10t?seed=1&px=64")
DONE = "is done already"
TRIES = 3
"""Ray does not always start on a busy machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run both, compare, print a line a table; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args(argv)
    sides = {"old": args.old.resolve(), "new": args.new.resolve()}
    args.work.mkdir(parents=True, exist_ok=True)
    os.chdir(args.work)
    for side, code in sides.items():
        if not Path(side, "demo", "report.html").exists():
            run_program(code, "demo", "--small", "--out", f"{side}/demo")
    for side, code in sides.items():
        for command in list_commands(f"{side}/store"):
            run_program(code, *command)
    differing = list(compare_stores(Path("old/demo/store"), Path("new/demo/store"), "demo"))
    differing += compare_stores(Path("old/store"), Path("new/store"), "cohort")
    differing += compare_pages(Path("old/demo/report.html"), Path("new/demo/report.html"))
    shutil.rmtree("again", ignore_errors=True)
    shutil.copytree("old/store", "again")
    differing += list(find_redone(sides["new"], list_commands("again")))
    print(f"{len(differing)} differ")
    return int(bool(differing))


def list_commands(store: str) -> Iterator[list[str]]:
    """Commands of the cohort; all read the files of the old demo."""
    both = [word for name in ENCODERS for word in ("--encoder", name)]
    few = ["--folds", "3", "--repeats", "3"]
    files = "old/demo/patients"
    plain = ["--tissue", "none", "--mpp", "1", "--batch-size", "16"]
    yield ["extract", "--manifest", "old/demo/slides.csv", "--store", store, *both, *plain]
    labels = ["--store", store, "--labels", f"{files}/expression.csv", *both, *few]
    yield ["evaluate", "expression", *labels, "--permutations", "100"]
    yield ["evaluate", "expression", *labels, "--head", "pls", "--pooling", "mean+std"]
    labels = ["--store", store, "--labels", f"{files}/mutations.csv", *both, *few]
    yield ["evaluate", "mutation", *labels, "--pooling", "mean", "--pooling", "quantiles"]
    mil = ["--head", "mil", "--mil", "epochs=3", "--repeats", "1"]
    yield ["evaluate", "mutation", *labels[:-2], *mil]
    (table,) = Path("old/demo").glob("tiles-[!l]*/tiles.csv")  # not those that were learned from
    tiles = ["--tiles", str(table), "--store", store, *both, *few]
    yield ["evaluate", "tissue", *tiles]
    yield ["evaluate", "tissue", *tiles, "--head", "knn"]


def run_program(code: Path, *words: str) -> str:
    """Run the program of one checkout; what it says on stderr.

    Raises:
        SystemExit: It could not start.
    """
    for _ in range(TRIES):  # what was finished stays finished
        done = subprocess.run(
            [sys.executable, "-m", "histo_ray", *words],
            env=os.environ | {"PYTHONPATH": str(code)},
            capture_output=True,
            text=True,
        )
        if done.returncode in (0, 1):
            return done.stderr
    sys.exit(f"{code}: {' '.join(words)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")


def compare_stores(old: Path, new: Path, title: str) -> Iterator[str]:
    """Compare every table below two stores; yields the names of those that differ."""
    tables = [name_tables(folder) for folder in (old, new)]
    for name in sorted(tables[0].keys() | tables[1].keys()):
        if not all(name in side for side in tables):
            found = f"only in {'old' if name in tables[0] else 'new'}"
        else:
            found = compare_tables(*(pq.read_table(side[name]) for side in tables))
        print(f"{title}: {name}: {found or 'same'}")
        if found:
            yield f"{title}: {name}"


def name_tables(store: Path) -> dict[str, Path]:
    """Tables of a store by names that two runs share: of evaluations task and number."""
    tables = {
        str(path.relative_to(store)): path for path in sorted(store.glob("embeddings/**/*.parquet"))
    }
    for task in sorted(store.glob("evaluations/*")):
        runs = sorted(task.iterdir(), key=lambda run: read_record(run)["created_at"])
        for number, run in enumerate(runs):
            for path in sorted(run.glob("*.parquet")):
                tables[f"{task.name} {number}: {path.stem}"] = path
    return tables


def read_record(run: Path) -> dict[str, str]:
    """Read the record of an evaluation."""
    record: dict[str, str] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return record


def compare_tables(old: pa.Table, new: pa.Table) -> str:
    """Say how two tables differ; empty if they do not."""
    found = []
    if missing := set(old.column_names) ^ set(new.column_names):
        found.append(f"columns {', '.join(sorted(missing))}")
    if old.num_rows != new.num_rows:
        return f"{old.num_rows} and {new.num_rows} rows"
    for name in old.column_names:
        if name in VOLATILE or name not in new.column_names:
            continue
        one, two = (map(repr, t[name].to_pylist()) for t in (old, new))  # nan is nan
        unlike = sum(a != b for a, b in zip(one, two, strict=True))
        if unlike:
            found.append(f"{name} in {unlike} of {old.num_rows} rows")
    receipts = [json.loads((t.schema.metadata or {}).get(b"histo_ray", b"{}")) for t in (old, new)]
    found += [key for key in RECEIPT_KEYS if receipts[0].get(key) != receipts[1].get(key)]
    return "; ".join(found)


def compare_pages(old: Path, new: Path) -> list[str]:
    """Compare the numbers in the texts of two reports; what is drawn comes from the same tables."""
    numbers = []
    for path in (old, new):
        text = re.sub(r"(?s)<(script|style|svg).*?</\1>", " ", path.read_text(encoding="utf-8"))
        cells = re.findall(r"(?s)<td[^>]*>(.*?)</td>", text)
        numbers.append([n for cell in cells for n in re.findall(r"-?\d+\.\d+", cell)])
    same = numbers[0] == numbers[1]
    print(f"report: {len(numbers[0])} and {len(numbers[1])} numbers in tables: ", end="")
    print("same" if same else "differ")
    return [] if same else ["report"]


def find_redone(code: Path, commands: Iterator[list[str]]) -> Iterator[str]:
    """Yield the evaluations that are not found done in a store of the other program."""
    for words in commands:
        if words[0] != "evaluate":
            continue
        done = DONE in run_program(code, *words)
        print(f"asked again: {' '.join(words[:2])}: {'found done' if done else 'COMPUTED AGAIN'}")
        if not done:
            yield f"again: {' '.join(words)}"


if __name__ == "__main__":
    sys.exit(main())
