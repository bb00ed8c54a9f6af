"""Kaplan-Meier curves of two halves with numbers at risk. Pure: numbers in, SVG out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histo_ray.report.charts.chart_style import FAINT, Look
from histo_ray.report.charts.charts import WIDTH_PX
from histo_ray.report.charts.svg import draw_svg

Floats = npt.NDArray[np.float64]
HEIGHT_PX = 280
TICKS = 5
"""Times at which numbers at risk stand, about."""
_LINES = {"lower": "-", "higher": "--"}


class Curve(NamedTuple):
    """One half."""

    times: Floats
    survival: Floats
    at_risk: Floats


def draw_survival(
    target: str, encoder: str, curves: Mapping[str, Curve], unit: str, look: Look, chart: str
) -> Markup:
    """Draw survival of the halves of lower and higher risk, with numbers at risk below.

    Args:
        target: Endpoint.
        encoder: Whose risks they are.
        curves: By half, `lower` and `higher`.
        unit: Of the times; empty: not stated.
        look: Of the encoder; the half of higher risk is dashed.
        chart: Name of the chart in the page.
    """
    last = max(float(curve.times[-1]) for curve in curves.values())
    ticks = [time for time in MaxNLocator(TICKS - 1).tick_values(0, last) if time <= last]

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 1 + len(curves)]}
        )
        for half, curve in curves.items():
            above.step(
                curve.times, curve.survival, where="post", color=look.colour,
                linestyle=_LINES[half], linewidth=1.8, label=f"{half} risk",
            )  # fmt: skip
        above.set(ylim=(-0.02, 1.02), ylabel="without an event")
        above.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
        above.legend(frameon=False, fontsize=10, loc="upper right")
        below.set_ylim(len(curves) + 0.2, -0.8)
        below.set_yticks(range(len(curves)), list(curves))
        below.tick_params(axis="y", length=0)
        for row, curve in enumerate(curves.values()):
            for number, time in enumerate(ticks):
                at = int(np.argmin(np.abs(curve.times - time)))
                side = "left" if not number else "right" if time > 0.97 * last else "center"
                below.text(time, row, f"{curve.at_risk[at]:.0f}", ha=side, va="center", fontsize=10)
        below.set_title("at risk", fontsize=10, loc="left", color=FAINT, pad=2)
        below.spines["left"].set_visible(False)
        below.set_xticks(ticks, [f"{time:.3g}" for time in ticks])
        below.set_xlabel(f"time, {unit}" if unit else "time (unit not stated)")

    middle = {h: float(np.interp(last / 2, c.times, c.survival)) for h, c in curves.items()}
    told = ", ".join(f"{100 * share:.0f} % of the {half} risk" for half, share in middle.items())
    title = f"Kaplan-Meier curves of {target} by out-of-fold risk with {encoder}"
    text = f"Without an event at {last / 2:.3g} {unit}: {told}."
    return draw_svg(draw, (WIDTH_PX, HEIGHT_PX), chart, title, text)
