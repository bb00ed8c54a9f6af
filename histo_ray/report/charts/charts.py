"""Charts of targets: encoder against encoder, whiskers, ROC curves. Pure: numbers in, SVG out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import FAINT, INK, NEITHER, RULE, Look, shorten_name
from histo_ray.report.charts.roc import Curve
from histo_ray.report.charts.svg import draw_svg, printable

Floats = npt.NDArray[np.float64]

WIDTH_PX = 360
"""Natural width of a chart: that of a phone, so that type is hardly ever shrunk."""
SMALL_PX = 190
"""Natural width of a small chart: two stand beside each other on a phone."""
_ROW_PX = 12


class Whisker(NamedTuple):
    """A score with its interval; nan where there is none."""

    score: float
    low: float
    high: float


class Pair(NamedTuple):
    """Two encoders on the same targets."""

    targets: Sequence[str]
    a: Floats
    """(T,) score of the first encoder, x."""
    b: Floats
    """(T,) score of the second encoder, y."""
    sure: npt.NDArray[np.bool_]
    """(T,) whether the two differ after correction."""


def draw_scatter(
    pair: Pair, names: tuple[str, str], metric: str, looks: Mapping[str, Look], chart: str
) -> Markup:
    """Draw one encoder against the other, a point a target, with the line of equality."""
    known = np.isfinite(pair.a) & np.isfinite(pair.b)
    ends = np.concatenate([pair.a[known], pair.b[known]])
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    size = 16 if len(ends) > 600 else 28 if len(ends) > 80 else 48
    room = 0.04 * (high - low) or 0.1
    groups = {
        "neither": (known & ~pair.sure, NEITHER, "o"),
        "a": (known & pair.sure & (pair.a > pair.b), looks[names[0]].colour, "v"),
        "b": (known & pair.sure & (pair.b > pair.a), looks[names[1]].colour, "^"),
    }

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
        for line in (axes.axhline, axes.axvline):
            line(0, color=RULE, linewidth=0.8, zorder=0)
        axes.plot(*[(low - room, high + room)] * 2, color=INK, linewidth=1, zorder=1)
        for gid, (rows, colour, marker) in groups.items():
            axes.scatter(
                pair.a[rows], pair.b[rows], s=size, c=colour,
                marker=marker, alpha=0.65, linewidths=0, gid=gid, zorder=2,
            )  # fmt: skip
        axes.set_xlabel(f"{metric}, {shorten_name(printable(names[0]), 30)}")
        axes.set_ylabel(f"{metric}, {shorten_name(printable(names[1]), 30)}")

    titles = [
        f"{target}: {a:.3f} and {b:.3f}"
        for target, a, b in zip(pair.targets, pair.a, pair.b, strict=True)
    ]
    points = {
        gid: [titles[k] for k in np.flatnonzero(rows)] for gid, (rows, _, _) in groups.items()
    }
    above = int((pair.b[known] > pair.a[known]).sum())
    text = (
        f"{known.sum()} targets; {above} lie above the line where both are equal; "
        f"{groups['b'][0].sum()} are higher with {names[1]} and {groups['a'][0].sum()} with "
        f"{names[0]} after correction."
    )
    title = f"{metric} of each target: {names[0]} (x) against {names[1]} (y)"
    return draw_svg(draw, (WIDTH_PX, WIDTH_PX - 10), chart, title, text, points)


def draw_whiskers(
    rows: Sequence[str],
    series: Mapping[str, Sequence[Whisker]],
    metric: str,
    looks: Mapping[str, Look],
    chart: str,
    chance: float | None = None,
) -> Markup:
    """Draw a dot with its interval for each row and encoder, first row on top.

    Args:
        rows: Names of targets or classes.
        series: By encoder, one a row.
        metric: What the axis is called.
        looks: Colour, marker and line of each encoder.
        chart: Name of the chart in the page.
        chance: Score of a guess, drawn as a line.
    """
    step = len(series) + 0.9
    height = _ROW_PX * step * len(rows) + 56

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, (name, found) in enumerate(series.items()):
            score, low, high = np.array([*found], np.float64).reshape(-1, 3).T
            y = np.arange(len(rows)) * step + number
            colour = looks[name].colour
            axes.hlines(y, low, high, linewidth=1.6, color=colour)
            axes.plot(score, y, looks[name].marker, markersize=5.5, linewidth=0, color=colour)
        for between in range(1, len(rows)):
            axes.axhline(between * step - 0.95, color=RULE, linewidth=0.5, zorder=0)
        if chance is not None:
            axes.axvline(chance, color=FAINT, linewidth=1, linestyle=":", zorder=0)
        middle = np.arange(len(rows)) * step + (len(series) - 1) / 2
        axes.set_yticks(middle, [shorten_name(printable(row)) for row in rows])
        axes.set_ylim(len(rows) * step - 0.95, -0.95)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(metric)

    best = {
        name: rows[int(np.nanargmax([w.score for w in found]))]
        for name, found in series.items()
        if not np.isnan([w.score for w in found]).all()
    }
    text = f"{len(rows)} rows, best at the top. " + " ".join(
        f"{name} is highest for {row}." for name, row in best.items()
    )
    title = f"{metric} with 95 % interval: {', '.join(series)}"
    return draw_svg(draw, (WIDTH_PX, height), chart, title, text)


def draw_roc(
    target: str, curves: Mapping[str, Curve], looks: Mapping[str, Look], chart: str
) -> Markup:
    """Draw the mean ROC curve of each encoder for one target."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.plot((0, 1), (0, 1), color=RULE, linewidth=1, zorder=0)
        for name, curve in curves.items():
            look = looks[name]
            axes.plot(*curve, color=look.colour, linestyle=look.line, linewidth=1.8)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.set(xlabel="false positive rate", ylabel="true positive rate")

    areas = (f"{name} {curve.area:.3f}" for name, curve in curves.items())
    text = f"Area under the curve: {', '.join(areas)}."
    title = f"ROC curves of {target}, mean over folds"
    return draw_svg(draw, (SMALL_PX, SMALL_PX - 4), chart, title, text)
