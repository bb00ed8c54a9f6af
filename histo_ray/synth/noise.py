"""Seeded noise over an endless plane in microns. Pure.

Every value is a hash of its lattice point, so any window of the plane can be computed alone, in
any order and at any resolution, and always shows the same plane.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_UNIT_STD = np.float32(np.sqrt(3) * 315 / 151)
"""Brings the B-spline of uniform(-1, 1) lattice values to a standard deviation of 1: the mean of
the sum of squared cubic B-spline weights is 151/315 an axis."""


@dataclass(frozen=True)
class Window:
    """A grid of sample points on the plane; sample (i, j) lies in the middle of its step."""

    left: float
    """um."""
    top: float
    """um."""
    step: float
    """um between samples: the mpp of a picture."""
    width: int
    """Samples along x."""
    height: int
    """Samples along y."""

    def xs(self) -> Numbers:
        """(width,) x of the samples, um."""
        return _centres(self.left, self.step, self.width)

    def ys(self) -> Numbers:
        """(height,) y of the samples, um."""
        return _centres(self.top, self.step, self.height)


def _centres(start: float, step: float, count: int) -> Numbers:
    return start + (np.arange(count, dtype=np.float64) + 0.5) * np.float64(step)


def hash_uniform(ix: Indices, iy: Indices, seed: int, channel: int) -> Numbers:
    """One uniform number in [0, 1) for each lattice point: splitmix64 of its indices.

    Args:
        ix: Lattice columns; may be negative.
        iy: Lattice rows, broadcast against `ix`.
        seed: Seed of the plane.
        channel: Tells apart the numbers drawn at one point.

    Returns:
        Array of the broadcast shape.
    """
    key = np.uint64((seed * 0x9E3779B97F4A7C15 + channel * 0xD1B54A32D192ED03) % 2**64)
    state = np.full(1, key, np.uint64)
    for index in (ix, iy):
        state = _mix(state + np.atleast_1d(index).astype(np.int64).view(np.uint64))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth_noise(window: Window, scale: float, seed: int, channel: int) -> Field:
    """Smooth noise of mean 0 and standard deviation 1: a cubic B-spline of lattice values.

    Args:
        window: Where to evaluate.
        scale: Lattice step in um; features are about two steps wide.
        seed: Seed of the plane.
        channel: Tells apart the noises of one plane.

    Returns:
        (height, width) float32.
    """
    first_x, weights_x = _spline_weights(window.xs() / scale)
    first_y, weights_y = _spline_weights(window.ys() / scale)
    ix = np.arange(first_x[0], first_x[-1] + 4)
    iy = np.arange(first_y[0], first_y[-1] + 4)
    lattice = hash_uniform(ix[None, :], iy[:, None], seed, channel) * 2 - 1
    rows = _blend_rows(lattice.astype(np.float32) * _UNIT_STD, first_y - iy[0], weights_y)
    columns = _blend_rows(np.ascontiguousarray(rows.T), first_x - ix[0], weights_x)
    return np.ascontiguousarray(columns.T)


def noise_at(x: float, y: float, scale: float, seed: int, channel: int) -> float:
    """`smooth_noise` at one point (um)."""
    return float(smooth_noise(Window(x - 0.5, y - 0.5, 1.0, 1, 1), scale, seed, channel)[0, 0])


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _spline_weights(positions: Numbers) -> tuple[Indices, Field]:
    """First of the four lattice indices around each position, and their (4, n) weights."""
    whole = np.floor(positions)
    t = positions - whole
    taps = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return whole.astype(np.int64) - 1, (np.stack(taps) / 6).astype(np.float32)


def _blend_rows(lattice: Field, first: Indices, weights: Field) -> Field:
    """Each output row is the weighted sum of four lattice rows.

    Plain sums instead of a matrix product: its bits would depend on the number of threads.
    """
    blended: Field = lattice[first] * weights[0][:, None]
    for k in range(1, 4):
        blended += lattice[first + k] * weights[k][:, None]
    return blended
