"""Confusion matrices as charts. Pure: numbers in, SVG out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import INK, shorten_name
from histo_ray.report.charts.charts import WIDTH_PX
from histo_ray.report.charts.svg import draw_svg, printable

LARGEST_WRITTEN = 12
"""Number of classes up to which each cell shows its share."""


def row_shares(confusion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of each true class (row) predicted as each class, (K, K); nan for an empty class."""
    counts = np.asarray(confusion, np.float64)
    evaluated = counts.sum(1, keepdims=True)
    shares: npt.NDArray[np.float64] = np.full_like(counts, np.nan)
    np.divide(counts, evaluated, out=shares, where=evaluated > 0)
    return shares


def draw_confusion(
    confusion: npt.ArrayLike, classes: Sequence[str], encoder: str, chart: str
) -> Markup:
    """Draw a matrix: rows are true classes, columns predicted ones, a row sums to 100 %.

    Args:
        confusion: (K, K) counts.
        classes: (K,) names.
        encoder: Name of the encoder, for the title.
        chart: Name of the chart in the page.
    """
    shares = row_shares(confusion)
    count = len(classes)
    names = [shorten_name(printable(name), 12) for name in classes]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.pcolormesh(
            np.nan_to_num(shares), cmap="Blues", norm=PowerNorm(0.5, 0, 1), edgecolors="white",
            linewidth=0.7,
        )  # fmt: skip
        axes.invert_yaxis()
        turned = 90 if max(map(len, names)) > 3 else 0
        axes.set_xticks(np.arange(count) + 0.5, names, rotation=turned)
        axes.set_yticks(np.arange(count) + 0.5, names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="predicted", ylabel="true")
        for row, column in np.ndindex(count, count) if count <= LARGEST_WRITTEN else ():
            share = float(shares[row, column])
            if not np.isnan(share) and share > 0:
                axes.text(
                    column + 0.5, row + 0.5, format_share(share), ha="center", va="center",
                    fontsize=11 if count <= 9 else 8, color="white" if share > 0.25 else INK,
                    in_layout=False,
                )  # fmt: skip

    worst = np.nan_to_num(shares - np.diag(np.diag(shares)))
    row, column = divmod(int(worst.argmax()), count)
    text = (
        "Share of each true class that was found: "
        + ", ".join(f"{name} {100 * shares[k, k]:.1f} %" for k, name in enumerate(classes))
        + f". Most often, {classes[row]} is taken for {classes[column]}: "
        f"{100 * worst[row, column]:.1f} % of it."
    )
    title = f"Confusion matrix of {encoder}"
    return draw_svg(draw, (WIDTH_PX, WIDTH_PX), chart, title, text)


def format_share(share: float) -> str:
    """Format a share as percent for a small cell: one decimal below 10, `<0.1` if tiny."""
    percent = 100 * share
    if percent < 0.05:
        return "<0.1"
    return f"{percent:.1f}" if percent < 9.95 or 99.5 <= percent < 99.95 else f"{percent:.0f}"
