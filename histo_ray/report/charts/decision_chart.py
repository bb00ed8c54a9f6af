"""Decision curve: net benefit against the threshold of acting. Pure: numbers in, SVG out."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import INK, RULE, Look
from histo_ray.report.charts.charts import SMALL_PX
from histo_ray.report.charts.svg import draw_svg

Floats = npt.NDArray[np.float64]

_LEAST = 1e-3
"""Net benefit that can be seen."""


def draw_decisions(
    target: str,
    thresholds: Floats,
    benefits: Mapping[str, Floats],
    everyone: Floats,
    looks: Mapping[str, Look],
    chart: str,
) -> Markup:
    """Draw the net benefit of each encoder for one target, of acting on all, and of acting on none.

    Args:
        target: Its name.
        thresholds: (K,) rising.
        benefits: (K,) by encoder.
        everyone: (K,) of acting on all.
        looks: Colour and line of each encoder.
        chart: Name of the chart in the page.
    """
    heights = np.stack([*benefits.values(), everyone])
    seen = np.flatnonzero((heights > _LEAST).any(0))
    end = min(1.0, 1.25 * thresholds[seen[-1]] + 0.05) if len(seen) else 1.0
    top = float(np.nanmax(heights[:, thresholds <= end]))
    room = max(top, 0.02)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(0, color=RULE, linewidth=1.2, zorder=0)
        axes.plot(thresholds, everyone, color=INK, linewidth=1.2, linestyle=":", zorder=3)
        for name, one in benefits.items():
            look = looks[name]
            axes.plot(thresholds, one, color=look.colour, linestyle=look.line, linewidth=1.6)
        axes.set(xlim=(0, end), ylim=(-0.25 * room, 1.08 * room))
        axes.locator_params(nbins=4)
        axes.set(xlabel="threshold", ylabel="net benefit")

    better = {
        name: thresholds[one > np.maximum(everyone, 0) + _LEAST] for name, one in benefits.items()
    }
    text = " ".join(
        f"{name} is of more use than acting on all or none at {len(found)} of {len(thresholds)} "
        f"thresholds{f', {found[0]:.2f} to {found[-1]:.2f}' if len(found) else ''}."
        for name, found in better.items()
    )
    return draw_svg(
        draw, (SMALL_PX, SMALL_PX - 20), chart, f"Decision curve of {target}: net benefit", text
    )
