"""Colour of a number: sequential, or diverging from a neutral value. Pure.

Both maps are read the same by the colour-blind: viridis, and Moreland's blue to red through grey
(2009, Diverging Color Maps for Scientific Visualization, doi:10.1007/978-3-642-10520-3_9), whose
middle is darker than paper, so that a neutral tile does not look like glass.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from histo_ray.report.charts.canvas import Picture

SPREAD = (2.0, 98.0)
"""Percentiles of the finite values at the two ends of a scale."""


@dataclass(frozen=True)
class ColourScale:
    """Which number has which colour."""

    low: float
    high: float
    centre: float | None = None
    """Neutral value in the middle between both ends; None: the scale is sequential."""
    neutral: str = ""
    """What has that value."""
    below: bool = False
    """Whether values lie below the lower end, and take its colour."""
    above: bool = False
    """Whether values lie above the upper end, and take its colour."""

    def colour(self, values: npt.ArrayLike) -> Picture:
        """Colour each value, (N, 3) RGB; values beyond the ends take the end's colour."""
        numbers = np.asarray(values, np.float64)
        if not len(numbers):
            return np.empty((0, 3), np.uint8)
        inside = np.clip(np.where(np.isnan(numbers), self.low, numbers), self.low, self.high)
        span = self.high - self.low
        share = (inside - self.low) / span if span > 0 else np.full(len(numbers), 0.5)
        table = _load_table("viridis" if self.centre is None else "coolwarm")
        return table[(share * 255 + 0.5).astype(np.uint8)]


def fit_scale(values: npt.ArrayLike, centre: float | None = None, neutral: str = "") -> ColourScale:
    """Fit a scale to what is drawn; outliers do not set it.

    Args:
        values: (N,); what is not finite is left out.
        centre: Neutral value: the scale reaches as far below as above it. None: sequential.
        neutral: What has that value, for the colour bar.
    """
    numbers = np.asarray(values, np.float64)
    finite = numbers[np.isfinite(numbers)]
    if centre is None:
        low, high = np.percentile(finite, SPREAD) if finite.size else (0.0, 1.0)
        return _reaching(ColourScale(float(low), float(high)), finite)
    far = float(np.percentile(np.abs(finite - centre), SPREAD[1])) if finite.size else 1.0
    return _reaching(ColourScale(centre - far, centre + far, centre, neutral), finite)


def _reaching(scale: ColourScale, values: npt.NDArray[np.float64]) -> ColourScale:
    """A scale that knows whether values lie beyond its ends."""
    if not values.size:
        return scale
    return replace(
        scale, below=bool(values.min() < scale.low), above=bool(values.max() > scale.high)
    )


@cache
def _load_table(name: str) -> Picture:
    """The 256 colours of a map, (256, 3) RGB."""
    shares = np.linspace(0, 1, 256)
    return (np.asarray(colormaps[name](shares))[:, :3] * 255 + 0.5).astype(np.uint8)
