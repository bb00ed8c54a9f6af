"""Calibration plot: what was observed against what was predicted. Pure: numbers in, SVG out."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import RULE, Look
from histo_ray.report.charts.charts import SMALL_PX
from histo_ray.report.charts.svg import draw_svg

Floats = npt.NDArray[np.float64]

UNIT = (0.0, 1.0)


def draw_calibration(
    target: str,
    curves: Mapping[str, Floats],
    looks: Mapping[str, Look],
    chart: str,
    ends: tuple[float, float] | None = UNIT,
) -> Markup:
    """Draw the calibration curve of each predictor for one target.

    Args:
        target: Its name.
        curves: By predictor, (4, bins): mean prediction, observed, low and high end of its
            interval.
        looks: Colour, marker and line of each predictor.
        chart: Name of the chart in the page.
        ends: Of both axes; None: of the numbers that are there.
    """
    everything = np.concatenate([curve[[0, 2, 3]].ravel() for curve in curves.values()])
    known = everything[np.isfinite(everything)]
    low, high = ends or (float(known.min()), float(known.max())) if len(known) else UNIT
    room = 0.03 * (high - low) or 0.1

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.plot((low, high), (low, high), color=RULE, linewidth=1, zorder=0)
        for name, (predicted, observed, bottom, top) in curves.items():
            look = looks[name]
            axes.vlines(predicted, bottom, top, color=look.colour, linewidth=1, alpha=0.6)
            axes.plot(
                predicted, observed, look.marker, color=look.colour, linestyle=look.line,
                markersize=4, linewidth=1.4,
            )  # fmt: skip
        axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
        axes.locator_params(nbins=3)
        axes.set(xlabel="predicted", ylabel="observed")

    text = " ".join(
        f"{name}: observed {curve[1, 0]:.2f} where {curve[0, 0]:.2f} was predicted, up to "
        f"{curve[1, -1]:.2f} where {curve[0, -1]:.2f} was."
        for name, curve in curves.items()
    )
    title = f"Calibration of {target}: observed against predicted"
    return draw_svg(draw, (SMALL_PX, SMALL_PX - 4), chart, title, text)
