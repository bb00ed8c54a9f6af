"""What got slower: `python -m benchmarks compare OLD NEW [--bound 1.15]`.

OLD and NEW are files of `benchmarks/history/`, or folders of them: several runs of the same code,
whose medians are compared and whose spread says how much is noise. A figure is worse where its
ratio is beyond the bound and beyond the noise. Exit code 0: none is; 1: some are, listed first; 2:
the runs do not compare.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.history import PastRun, read_runs

BOUND = 1.15
"""Ratio beyond which a figure counts as worse, where runs spread less."""
NOISE_WIDTHS = 3.0
"""Spreads of the runs that count as noise."""
MAD_TO_SD = 1.4826
"""Makes a median absolute deviation the sd of normal noise."""


@dataclass(frozen=True)
class Change:
    """One figure of both sides."""

    what: str
    old: float
    new: float
    ratio: float
    """How many times as bad as before: above 1 is worse, whichever way the figure counts."""
    bound: float
    judged: bool
    """Whether the figure says which way is better."""

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond the bound."""
        return self.judged and self.ratio > self.bound


def compare_runs(old: Sequence[PastRun], new: Sequence[PastRun], bound: float) -> list[Change]:
    """Compare the figures that both sides have, the worst first.

    Args:
        old: Runs of the one code.
        new: Runs of the other.
        bound: Ratio, 1 or more.
    """
    changes = []
    goals = {name: goal for run in (*old, *new) for name, goal in run.goals.items()}
    for name, goal in goals.items():
        before, after = _values(old, name), _values(new, name)
        if not before or not after:
            continue
        one, other = median(before), median(after)
        if one == other:
            ratio = 1.0
        elif min(one, other) <= 0:
            ratio = float("inf") if (other > one) == goal.startswith("<") else 0.0
        else:
            ratio = other / one if goal.startswith("<") else one / other
        noise = 1 + NOISE_WIDTHS * max(_spread(before), _spread(after))
        changes.append(Change(name, one, other, ratio, max(bound, noise), bool(goal)))
    return sorted(changes, key=lambda change: (not change.worse, -change.ratio))


def find_mismatch(old: Sequence[PastRun], new: Sequence[PastRun], any_machine: bool = False) -> str:
    """Say why the runs do not compare; empty: they do."""
    machines = sorted({run.machine for run in (*old, *new)})
    if len(machines) > 1 and not any_machine:
        return (
            f"the runs are of {len(machines)} machines ({'; '.join(machines)}), so ratios would "
            "tell these apart; measure both on one, or give --any-machine"
        )
    if len({run.quick for run in (*old, *new)}) > 1:
        return "some runs are quick ones and some are not; compare like with like"
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line a figure; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks compare", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="file or folder of earlier runs")
    parser.add_argument("new", type=Path, metavar="NEW", help="file or folder of later ones")
    parser.add_argument("--bound", type=float, default=BOUND, help=f"ratio (default: {BOUND})")
    parser.add_argument("--any-machine", action="store_true", help="compare other machines, too")
    args = parser.parse_args(argv)
    if not args.bound >= 1:
        parser.error(f"--bound {args.bound:g}: must be 1 or more; 1.15 is 15 % worse")
    try:
        old, new = read_runs(args.old), read_runs(args.new)
    except ValueError as error:
        parser.error(str(error))
    problem = find_mismatch(old, new, args.any_machine)
    if problem:
        parser.error(problem)
    changes = compare_runs(old, new, args.bound)
    if not changes:
        parser.error("the runs have no figure in common; run the same benchmarks on both sides")
    for change in changes:
        print(describe_change(change))
    gone = sorted(set(old[-1].figures) - set(new[-1].figures))
    if gone:
        print(f"not measured any more: {'; '.join(gone)}", file=sys.stderr)
    return int(any(change.worse for change in changes))


def describe_change(change: Change) -> str:
    """One line: verdict, figure, both values, ratio and bound."""
    verdict = "WORSE" if change.worse else ("ok" if change.judged else "-")
    return (
        f"{verdict:<6} {change.what:<60} {change.old:>9.4g} -> {change.new:<9.4g} "
        f"{change.ratio:.2f} x (bound {change.bound:.2f})"
    )


def _values(runs: Sequence[PastRun], name: str) -> list[float]:
    return [run.figures[name] for run in runs if name in run.figures]


def _spread(values: Sequence[float]) -> float:
    """Spread of runs as a share of their median; 0 for a single one."""
    middle = median(values)
    if len(values) < 2 or middle == 0:
        return 0.0
    return MAD_TO_SD * median(abs(value - middle) for value in values) / abs(middle)


if __name__ == "__main__":
    sys.exit(main())
