"""Figures against their goals: `python -m benchmarks.picture RESULT.json ... --out FILE.svg`.

Takes what `python -m benchmarks` printed. One bar a figure that has a goal, as its share of it;
where less is better, the goal's share of the figure. A bar that reaches the line is a goal met.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

MET, MISSED, INK = "#2a7f62", "#c1502e", "#333333"
REQUEST = re.compile(r"random:(\w+)\?seed=0&px=(\d+)")
"""An encoder with random weights, as figures name it."""
WIDEST = 3.0
"""Longer bars are cut here; the number beside them is whole."""


class Bar(NamedTuple):
    """One figure."""

    name: str
    share: float
    """Share of the goal; 1 and more: met."""
    text: str
    met: bool


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="SVG, PNG or PDF")
    args = parser.parse_args()
    answers = [json.loads(path.read_text(encoding="utf-8")) for path in args.results]
    dates = sorted({answer["machine"]["date"] for answer in answers})
    cores = {answer["machine"]["cores"] for answer in answers}
    bars = [bar for answer in answers for bar in read_bars(answer)]
    if not bars:
        parser.error("no figure with a goal in these files")
    title = f"{', '.join(dates)}, {'/'.join(map(str, sorted(cores)))} cores"
    with mpl.rc_context({"font.size": 9, "svg.fonttype": "none", "text.color": INK}):
        draw(bars, title).savefig(args.out, dpi=160, bbox_inches="tight")


def read_bars(answer: dict[str, Any]) -> list[Bar]:
    """The figures of one result that have a goal, in its order."""
    bars = []
    for benchmark, result in answer["benchmarks"].items():
        for figure in result["figures"]:
            sign, _, goal = figure["goal"].partition(" ")
            if not goal or not float(goal) or not figure["value"]:
                continue
            share = figure["value"] / float(goal)
            if sign.startswith("<"):
                share = 1 / share
            text = f"{figure['value']:.3g} (goal {figure['goal']})"
            name = REQUEST.sub(r"\1, \2 px", f"{benchmark}: {figure['what']}")
            bars.append(Bar(name, share, text, figure["met"]))
    return bars


def draw(bars: list[Bar], title: str) -> Figure:
    """A page of horizontal bars."""
    page = Figure(figsize=(9, 0.6 + 0.34 * len(bars)))
    axes = page.add_subplot()
    for row, bar in enumerate(bars):
        share = min(bar.share, WIDEST)
        axes.barh(row, share, color=MET if bar.met else MISSED, height=0.62)
        axes.annotate(
            bar.text + ("" if bar.met else ", missed"),
            (share, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            zorder=3,
        )
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, WIDEST * 1.12)
    axes.set_xlabel("share of the goal (dashed: met)")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return page


if __name__ == "__main__":
    main()
