"""How often intervals hold, and what tests find: level, power and coverage, before and after.

`python -m benchmarks.coverage [--quick] [--folder DIR]`. Cohorts have a known truth; see
testing/coverage_cohorts.py and testing/coverage_tiles.py for how they are drawn. "Before" are the
bootstrap intervals with the heads held fixed that versions up to 0.4.0 showed, of the very same
predictions. Each cell is a file of the folder: a run that was stopped goes on where it was. Prints
tables in Markdown, then commands, seeds and figures as JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from testing.coverage_candidates import CANDIDATES, cover_candidates
from testing.coverage_cohorts import MIL, Cell, Row, measure_truth, simulate_cohort
from testing.coverage_tiles import measure_tiles, simulate_tiles

LEVEL = 0.05
SIGNALS = ("no", "weak", "strong")
PATIENTS = (60, 200, 500)
HEAD = ("cell", "cohorts", "score", "covered before", "covered", "error", "width")
PAIR_HEAD = ("P < 0.05, equal", "left out 0 before", "covered before", "covered", "power")


def list_cells(quick: bool) -> Iterator[Cell]:
    """Yield every cell, the cheapest first."""
    if quick:
        yield Cell("expression", "ridge", "strong", 60, 2, 3, repeats=2, truths=2)
        yield Cell("mutation", "ridge", "no", 60, 2, 2, repeats=2, truths=2)
        yield Cell("tissue", "least-squares", "weak", 60, 2, 3, repeats=2, truths=2)
        return
    for patients in PATIENTS:
        for signal in SIGNALS:
            yield Cell("expression", "ridge", signal, patients, 60, 10, truths=60)
    for patients in PATIENTS:
        for signal in SIGNALS:  # tissue has three scores a cohort
            yield Cell("tissue", "least-squares", signal, patients, 60, 3, truths=60)
            yield Cell("mutation", "ridge", signal, patients, 60, 4, truths=60)
        for signal in ("no", "strong") if patients == PATIENTS[0] else ():
            yield Cell("mutation", MIL, signal, patients, 24, 1, repeats=2, truths=24)
        yield Cell("mutation", "ridge", "sure", patients, 60, 4, truths=60)  # AUROCs near 1


def run_cell(cell: Cell, seed: int) -> pd.DataFrame:
    """Simulate all cohorts of a cell: a row a score or difference, with its truth."""
    tissue = cell.task == "tissue"
    simulate = simulate_tiles if tissue else simulate_cohort
    rows: list[Row] = [
        {**row, "cohort": number}
        for number in range(cell.cohorts)
        for row in simulate(cell, seed + number)
    ]
    frame = pd.DataFrame(rows)
    frame["true"] = list(_find_truth(cell, frame, seed))
    return frame


def summarise_scores(frame: pd.DataFrame) -> dict[str, float]:
    """Coverage of the scores' intervals, in percent."""
    rows = frame[~frame["of"].str.contains(" - ")]
    covered = (rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"])
    before = (rows["before_low"] <= rows["true"]) & (rows["true"] <= rows["before_high"])
    return {
        "score": float(rows["value"].mean()),
        "before": _percent(before),
        "covered": _percent(covered),
        "error": _spread(covered, rows["cohort"]),
        "width": float(
            ((rows["high"] - rows["low"]) / (rows.before_high - rows.before_low)).mean()
        ),
    }


def summarise_differences(frame: pd.DataFrame) -> dict[str, float]:
    """Level, coverage and power of differences, in percent; nan where no encoder is better."""
    equal, better = (frame[frame["of"] == name] for name in ("b - a", "better - a"))
    pairs = frame[frame["of"].str.contains(" - ")]
    covered = (pairs["low"] <= pairs["true"]) & (pairs["true"] <= pairs["high"])
    before = (pairs["before_low"] <= pairs["true"]) & (pairs["true"] <= pairs["before_high"])
    rejected = equal["p"] < LEVEL
    return {
        "level": _percent(rejected),
        "level_error": _spread(rejected, equal["cohort"]),
        "before_left_out": _percent((equal["before_low"] > 0) | (equal["before_high"] < 0)),
        "before": _percent(before),
        "covered": _percent(covered),
        "covered_error": _spread(covered, pairs["cohort"]),
        "power": _percent(better["p"] < LEVEL) if len(better) else float("nan"),
        "contradictions": int(((pairs["p"] < LEVEL) != _leaves_out_zero(pairs)).sum()),
    }


def write_table(found: Sequence[tuple[Cell, dict[str, float], dict[str, float]]]) -> str:
    """Write a row a cell, in Markdown."""
    lines = [f"| {' | '.join([*HEAD, *PAIR_HEAD])} |", "|---" * (len(HEAD) + len(PAIR_HEAD)) + "|"]
    for cell, score, pair in found:
        size = cell.cohorts if cell.task == "tissue" else cell.cohorts * cell.targets
        power = "-" if np.isnan(pair["power"]) else f"{pair['power']:.0f} %"
        cells = [
            f"{cell.task}, {cell.head}, {cell.signal}, {cell.patients}",
            f"{size}",
            f"{score['score']:.2f}",
            f"{score['before']:.1f} %",
            f"{score['covered']:.1f} %",
            f"{score['error']:.1f}",
            f"{score['width']:.2f}",
            f"{pair['level']:.1f} %",
            f"{pair['before_left_out']:.1f} %",
            f"{pair['before']:.1f} %",
            f"{pair['covered']:.1f} %",
            power,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_candidates(found: Sequence[tuple[Cell, dict[str, float]]]) -> str:
    """Write the coverage of scores by other intervals, a row a cell, in Markdown."""
    head = ("cell", *CANDIDATES)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell, covered in found:
        cells = [f"{covered[name]:.1f} %" for name in CANDIDATES]
        name = f"{cell.task}, {cell.head}, {cell.signal}, {cell.patients}"
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def _find_truth(cell: Cell, frame: pd.DataFrame, seed: int) -> Iterator[float]:
    if cell.task == "tissue":
        true = measure_tiles(cell, seed)
    else:
        scores = measure_truth(cell, seed)
        true = {(name, at): value for name, value in scores.items() for at in range(cell.targets)}
    for name, at in zip(frame["of"], frame["target"], strict=True):
        b, _, a = str(name).partition(" - ")
        if not a:
            yield true[b, at]
        else:
            yield 0.0 if {a, b} == {"a", "b"} else true[b, at] - true[a, at]


def _leaves_out_zero(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["low"] > 0) | (rows["high"] < 0)


def _percent(flags: "pd.Series[bool]") -> float:
    return 100 * float(flags.to_numpy(np.float64).mean())


def _spread(flags: "pd.Series[bool]", cohorts: "pd.Series[int]") -> float:
    """Monte-Carlo standard error in percent: intervals of one cohort are not independent."""
    means = flags.astype(float).groupby(cohorts).mean().to_numpy(np.float64)
    return 100 * float(means.std(ddof=1) / np.sqrt(len(means)))


def main() -> None:
    """Run what is missing, and print the table of all cells that are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage")
    parser.add_argument("--quick", action="store_true", help="small: does it run")
    parser.add_argument("--folder", type=Path, default=Path("coverage"), help="a file a cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no cell after so long")
    args = parser.parse_args()
    folder: Path = args.folder / f"{'quick' if args.quick else 'full'}-{args.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    began, found, others = time.monotonic(), [], []
    for cell in list_cells(args.quick):
        path = folder / f"{cell.name}.parquet"
        if not path.exists():
            if time.monotonic() - began > 60 * args.minutes:
                continue
            cpu = time.process_time()
            frame = run_cell(cell, args.seed)
            frame.to_parquet(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            print(f"{cell.name}: {time.process_time() - cpu:.0f} CPU s", file=sys.stderr)
        frame = pd.read_parquet(path)
        found.append((cell, summarise_scores(frame), summarise_differences(frame)))
        if cell.task != "tissue":
            others.append((cell, cover_candidates(cell, frame)))
    print(f"{write_table(found)}\n\n{write_candidates(others)}\n")
    rows = [
        {"cell": asdict(cell), "scores": score, "differences": pair} for cell, score, pair in found
    ]
    command = f"python -m benchmarks.coverage --seed {args.seed}" + " --quick" * args.quick
    print(json.dumps({"command": command, "seed": args.seed, "cells": rows}, indent=1))


if __name__ == "__main__":
    main()
