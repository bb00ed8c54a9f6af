"""How often noise is called significant where whole sites are kept in one fold.

`python -m benchmarks.group_level [--quick]`. Nothing can be predicted, and no encoder is better;
see testing/random_cohorts.py for how cohorts are drawn. Prints a table in Markdown.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.learn.statistics import FEWEST_UNITS
from testing.random_cohorts import Design, simulate, summarise

TASKS = ("expression", "expression, t-test", "mutation", "tissue")
SITES = (3, 4, 5, 8, 20)
FOLDS = (3, 5)


def list_designs(quick: bool) -> Iterator[Design]:
    """Every task, number of sites and of folds that exists."""
    for task in TASKS:
        for sites in SITES:
            for folds in FOLDS:
                if folds > sites:
                    continue  # there are no such folds
                patients = max(60, 5 * sites)
                if quick:
                    yield Design(task, sites, folds, 20, 2, 2, patients)
                else:
                    untested = sites < FEWEST_UNITS and task != "expression"
                    yield Design(task, sites, folds, 10 if untested else 50, patients=patients)


def write_row(design: Design, row: dict[str, float]) -> str:
    """One line of the table."""

    def cells(name: str) -> str:
        if design.task == "tissue" and name == "chance":
            return "- | -"
        if not row[f"{name}_given"]:
            return "no P given | -"
        found = f"{row[f'{name}_found']:.0f} of {row[f'{name}_given']:.0f}"
        return f"{100 * row[f'{name}_share']:.1f} % | {found}"

    df = "-" if np.isnan(row["df"]) else f"{row['df']:.1f}"
    return (
        f"| {design.task} | {design.sites} | {design.folds} | {row['splits']:g} | {df} | "
        f"{cells('chance')} | {cells('difference')} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.group_level")
    parser.add_argument("--quick", action="store_true", help="small: does it run")
    parser.add_argument("--task", choices=TASKS, action="append", help="default: all")
    parser.add_argument("--sites", type=int, choices=SITES, action="append", help="default: all")
    parser.add_argument("--folds", type=int, choices=FOLDS, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    head = ["task", "sites", "folds", "distinct splits", "df", "P < 0.05, above chance", "q < 0.05"]
    print(f"| {' | '.join([*head, 'P < 0.05, two encoders', 'q < 0.05'])} |")
    print("|---" * 9 + "|")
    for design in list_designs(args.quick):
        chosen = (
            (args.task, design.task),
            (args.sites, design.sites),
            (args.folds, design.folds),
        )
        if any(asked and value not in asked for asked, value in chosen):
            continue
        try:
            row = summarise(simulate(design, args.seed))
        except ConfigError as error:
            print(f"| {design.task} | {design.sites} | {design.folds} | refused: {error} |")
            continue
        print(write_row(design, row), flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
