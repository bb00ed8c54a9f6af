"""Where nuclei lie and how each one looks, in microns. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.anatomy import STEP_UM, Anatomy, Gland
from histo_ray.synth.noise import Field, Numbers, Window, hash_uniform
from histo_ray.synth.tissue_looks import TissueLook

LARGEST_UM = 12.0
"""No nucleus reaches further than this from its centre."""
_CORNERS = 18
_FRACTION_BITS = 4
_LYMPH, _SPINDLE, _NEST = 30, 40, 50
_LYMPH_STEP_UM = 7.6
_SPINDLE_STEP_UM = 15.0


@dataclass(frozen=True)
class Nuclei:
    """Some nuclei; every array is (n,)."""

    x: Numbers
    """um."""
    y: Numbers
    """um."""
    length: Numbers
    """Long diameter, um."""
    width: Numbers
    """Short diameter, um."""
    angle: Numbers
    """Direction of the long axis, radians."""
    stain: Numbers
    """0..1: how dark."""
    vesicular: Numbers
    """0..1: how pale the centre is."""
    shape: Numbers
    """0..1: seed of the outline."""

    def __len__(self) -> int:
        return len(self.x)

    def take(self, kept: npt.NDArray[np.bool_]) -> "Nuclei":
        """The nuclei where `kept` is true."""
        return Nuclei(*(column[kept] for column in vars(self).values()))


def place_nuclei(look: TissueLook, seed: int, anatomy: Anatomy) -> Nuclei:
    """All nuclei whose centre lies in the anatomy's window, painter's order."""
    groups = [_spindles(look, seed, anatomy), _lymphocytes(look, seed, anatomy)]
    for gland in anatomy.glands:
        groups.append(_ring(look, gland) if gland.has_lumen else _nest(look, gland))
        groups[-1] = _own(groups[-1], gland, anatomy)
    columns = zip(*(vars(group).values() for group in groups), strict=True)
    return Nuclei(*(np.concatenate(column) for column in columns))


def draw_nuclei(nuclei: Nuclei, irregular: float, window: Window) -> tuple[Field, Field]:
    """Paint nuclei into a picture.

    Args:
        nuclei: What to paint; later ones cover earlier ones.
        irregular: 0..1, how far outlines leave the ellipse.
        window: The picture, `step` being its mpp.

    Returns:
        Two (height, width) float32 of 0..1: how dark, and how much of a pixel is nucleus.
    """
    stain = np.zeros((window.height, window.width), np.uint8)
    cover = np.zeros_like(stain)
    outlines = _to_pixels(_outlines(nuclei, irregular, 1.0, window.step), window)
    centres = _to_pixels(_outlines(nuclei, irregular, 0.66, window.step), window)
    nucleoli = _to_pixels(_nucleoli(nuclei), window)
    rim = (110 + 145 * nuclei.stain).astype(int)
    middle = (rim * (1 - 0.55 * nuclei.vesicular)).astype(int)
    for k in range(len(nuclei)):
        cv2.fillPoly(cover, [outlines[k]], 255, cv2.LINE_AA, _FRACTION_BITS)
        cv2.fillPoly(stain, [outlines[k]], int(rim[k]), cv2.LINE_AA, _FRACTION_BITS)
        if nuclei.vesicular[k] > 0.05:
            cv2.fillPoly(stain, [centres[k]], int(middle[k]), cv2.LINE_AA, _FRACTION_BITS)
        if nuclei.vesicular[k] > 0.3:
            cv2.fillPoly(stain, [nucleoli[k]], int(rim[k]), cv2.LINE_AA, _FRACTION_BITS)
    sigma = 0.42 / window.step
    return _soften(stain, sigma), _soften(cover, sigma)


def _soften(layer: npt.NDArray[np.uint8], sigma: float) -> Field:
    """Blur by the scanner's optics, and scale to 0..1."""
    return np.divide(cv2.GaussianBlur(layer, (0, 0), sigma), 255, dtype=np.float32)


def _grid_points(window: Window, step: float, seed: int, channel: int) -> list[Numbers]:
    """(x, y, and three uniforms) of a jittered grid's points inside `window`, um."""
    right = window.left + window.width * window.step
    bottom = window.top + window.height * window.step
    ix = np.arange(int(window.left // step) - 1, int(right // step) + 2, dtype=np.int64)
    iy = np.arange(int(window.top // step) - 1, int(bottom // step) + 2, dtype=np.int64)
    gx, gy = (axis.ravel() for axis in np.meshgrid(ix, iy))
    draws = [hash_uniform(gx, gy, seed, channel * 100 + k) for k in range(5)]
    x = (gx + 0.5 * (gy % 2) + 0.7 * (draws[0] - 0.5)) * step
    y = (gy + 0.7 * (draws[1] - 0.5)) * step
    inside = (x >= window.left) & (x < right) & (y >= window.top) & (y < bottom)
    return [column[inside] for column in (x, y, *draws[2:])]


def _sample(field: Field, window: Window, x: Numbers, y: Numbers) -> Numbers:
    """Nearest value of `field` at each point."""
    column = np.clip(((x - window.left) / window.step).astype(int), 0, window.width - 1)
    row = np.clip(((y - window.top) / window.step).astype(int), 0, window.height - 1)
    values: Numbers = field[row, column].astype(np.float64)
    return values


def _lymphocytes(look: TissueLook, seed: int, anatomy: Anatomy) -> Nuclei:
    x, y, chance, size, shape = _grid_points(anatomy.window, _LYMPH_STEP_UM, seed, _LYMPH)
    density = _sample(anatomy.lymph, anatomy.window, x, y)
    stray = 0.012 + 0.05 * look.lymphocyte_fraction
    free = _sample(anatomy.depth, anatomy.window, x, y) < -3
    fat = _sample(anatomy.fat, anatomy.window, x, y)
    kept = (chance < np.maximum(0.86 * density, stray)) & free & (fat < 0.01)
    length = 6.0 + 1.1 * size
    whole = Nuclei(
        x, y, length, length * (0.88 + 0.12 * shape), shape * np.pi, 0.78 + 0.22 * size,
        np.zeros_like(x), shape,
    )  # fmt: skip
    return whole.take(kept)


def _spindles(look: TissueLook, seed: int, anatomy: Anatomy) -> Nuclei:
    x, y, chance, size, shape = _grid_points(anatomy.window, _SPINDLE_STEP_UM, seed, _SPINDLE)
    free = _sample(anatomy.depth, anatomy.window, x, y) < -4
    fat = _sample(anatomy.fat, anatomy.window, x, y)
    lymph = _sample(anatomy.lymph, anatomy.window, x, y)
    kept = (chance < 0.42 + 0.12 * look.fibrosis) & free & (fat < 0.6) & (lymph < 0.4)
    slope_x, slope_y = (
        _sample(anatomy.fibre, anatomy.window, x + dx, y + dy)
        - _sample(anatomy.fibre, anatomy.window, x - dx, y - dy)
        for dx, dy in ((STEP_UM, 0.0), (0.0, STEP_UM))
    )
    along = np.arctan2(slope_y, slope_x) + np.pi / 2 + 0.3 * (shape - 0.5)
    whole = Nuclei(
        x, y, 9 + 6 * size, 2.6 + 1.6 * shape, along, 0.4 + 0.5 * size, 0.2 * shape, shape
    )
    return whole.take(kept)


def _ring(look: TissueLook, gland: Gland) -> Nuclei:
    """One to two rows of nuclei near the border of a gland, pointing to its lumen."""
    rng = np.random.default_rng(gland.seed)
    spacing = look.nuclear_size_um * 0.78 / look.nuclear_density
    count = max(6, int(2 * np.pi * gland.radius / spacing))
    theta = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * (2 * np.pi / count)
    depth = 7.0 + rng.normal(0, 1.2, count) + np.where(rng.random(count) < 0.3, 5.0, 0)
    x, y = gland.point(theta, depth)
    inner_x, inner_y = gland.point(theta, depth + 4)
    inward = np.arctan2(inner_y - y, inner_x - x)
    size = _sizes(look, rng, count)
    return Nuclei(
        x, y, size * 1.22, size * 0.78, inward + rng.normal(0, 0.16, count),
        rng.uniform(0.35, 0.8, count), _vesicles(look, rng, count), rng.random(count),
    )  # fmt: skip


def _nest(look: TissueLook, gland: Gland) -> Nuclei:
    """Nuclei all over a solid nest."""
    reach = gland.radius * 1.7
    step = look.nuclear_size_um * 1.25 / look.nuclear_density
    side = int(2 * reach / step)
    around = Window(gland.x - reach, gland.y - reach, step, side, side)
    x, y, *_ = _grid_points(around, step, gland.seed % 2**31, _NEST)
    kept = gland.depth(x, y) > 0.45 * look.nuclear_size_um
    x, y = x[kept], y[kept]
    rng = np.random.default_rng(gland.seed)
    count = len(x)
    size = _sizes(look, rng, count)
    long = rng.uniform(1.0, 1.3, count)
    return Nuclei(
        x, y, size * long, size / long, rng.uniform(0, np.pi, count),
        rng.uniform(0.3, 0.95, count), _vesicles(look, rng, count), rng.random(count),
    )  # fmt: skip


def _own(nuclei: Nuclei, gland: Gland, anatomy: Anatomy) -> Nuclei:
    """Those inside the window and not in a place that belongs to an overlapping gland."""
    window = anatomy.window
    inside = (
        (nuclei.x >= window.left)
        & (nuclei.x < window.left + window.width * window.step)
        & (nuclei.y >= window.top)
        & (nuclei.y < window.top + window.height * window.step)
    )
    nuclei = nuclei.take(inside)
    deepest = _sample(anatomy.depth, window, nuclei.x, nuclei.y)
    return nuclei.take(deepest - gland.depth(nuclei.x, nuclei.y) < 9)


def _sizes(look: TissueLook, rng: np.random.Generator, count: int) -> Numbers:
    spread = np.exp(rng.normal(0, look.pleomorphism, count))
    return np.clip(look.nuclear_size_um * spread, 3.5, 1.5 * LARGEST_UM)


def _vesicles(look: TissueLook, rng: np.random.Generator, count: int) -> Numbers:
    return np.clip(look.vesicular + rng.normal(0, 0.18, count), 0, 1)


def _outlines(nuclei: Nuclei, irregular: float, scale: float, mpp: float) -> Numbers:
    """(n, corners, 2) outline of each nucleus, um.

    OpenCV also fills the pixels that the outline passes through; half a pixel is taken off all
    around, or nuclei would be larger at a coarser mpp.
    """
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[None, :]
    seed = nuclei.shape[:, None] * 2 * np.pi
    bumps = np.cos(3 * turn + 7 * seed) + 0.7 * np.cos(2 * turn + 13 * seed)
    radius = scale * (1 + 0.11 * irregular * bumps) / 2
    u = np.cos(turn) * radius * np.maximum(nuclei.length - mpp, mpp)[:, None]
    v = np.sin(turn) * radius * np.maximum(nuclei.width - mpp, mpp)[:, None]
    return _turned(nuclei, u, v)


def _nucleoli(nuclei: Nuclei) -> Numbers:
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)[None, :]
    seed = nuclei.shape[:, None] * 37 % 1
    u = np.cos(turn) * 0.85 + (seed - 0.5) * 0.3 * nuclei.length[:, None]
    v = np.sin(turn) * 0.85 + (seed * 11 % 1 - 0.5) * 0.3 * nuclei.width[:, None]
    return _turned(nuclei, u, v)


def _turned(nuclei: Nuclei, u: Numbers, v: Numbers) -> Numbers:
    cos, sin = np.cos(nuclei.angle)[:, None], np.sin(nuclei.angle)[:, None]
    x = nuclei.x[:, None] + u * cos - v * sin
    y = nuclei.y[:, None] + u * sin + v * cos
    return np.stack([x, y], axis=-1)


def _to_pixels(points: Numbers, window: Window) -> npt.NDArray[np.int32]:
    """Fixed-point pixel coordinates; OpenCV's pixel centres are whole numbers."""
    pixels = (points - [window.left, window.top]) / window.step - 0.5
    fixed: npt.NDArray[np.int32] = np.round(pixels * 2**_FRACTION_BITS).astype(np.int32)
    return fixed
