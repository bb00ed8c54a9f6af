"""Where glands, stroma, lymphocytes and fat lie, on a coarse grid in microns. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from histo_ray.synth.noise import Field, Window, hash_uniform, noise_at, smooth_noise
from histo_ray.synth.tissue_looks import TissueLook

STEP_UM = 2.0
"""Step of the coarse grid."""
OUTSIDE_UM = -60.0
"""Depth given to places far from every gland."""
FAT_CELL_UM = 62.0
_GLAND, _CROWDING, _LYMPH, _FAT, _FIBRE, _BEND = range(10, 16)


@dataclass(frozen=True)
class Gland:
    """One gland or solid nest: a wobbly ellipse."""

    x: float
    y: float
    radius: float
    """Mean radius, um."""
    stretch: float
    """Long axis over short axis, square root of it."""
    angle: float
    """Direction of the long axis, radians."""
    wobble: npt.NDArray[np.float64]
    """(4, 2) amplitude (share of the radius) and phase of the 2nd to 5th harmonic."""
    has_lumen: bool
    seed: int
    """For what is drawn inside."""

    def touches(self, window: Window) -> bool:
        """False if no part of it can lie in `window`."""
        reach = 1.75 * self.radius + 5
        right = window.left + window.width * window.step
        bottom = window.top + window.height * window.step
        return (
            window.left - reach < self.x < right + reach
            and window.top - reach < self.y < bottom + reach
        )

    def depth(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Field:
        """About how far inside the border each point lies, um; negative outside."""
        dx, dy = x - self.x, y - self.y
        u = (dx * np.cos(self.angle) + dy * np.sin(self.angle)) / self.stretch
        v = (dy * np.cos(self.angle) - dx * np.sin(self.angle)) * self.stretch
        inside: Field = (self.border(np.arctan2(v, u)) - np.hypot(u, v)).astype(np.float32)
        return inside

    def border(self, theta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Radius at angle `theta` of the unstretched shape, um."""
        total = np.ones_like(theta)
        for k, (amplitude, phase) in enumerate(self.wobble, start=2):
            total += amplitude * np.cos(k * theta + phase)
        radius: npt.NDArray[np.float64] = self.radius * total
        return radius

    def point(
        self, theta: npt.NDArray[np.float64], depth: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(x, y) of the points at angle `theta`, `depth` um inside the border."""
        radius = self.border(theta) - depth
        u, v = radius * np.cos(theta) * self.stretch, radius * np.sin(theta) / self.stretch
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos


@dataclass(frozen=True)
class Anatomy:
    """Fields over one window of the coarse grid, each (height, width) float32."""

    window: Window
    depth: Field
    """um inside the nearest gland or nest; negative outside."""
    lumen: Field
    """0..1: inside a lumen."""
    lymph: Field
    """0..1: chance of a lymphocyte."""
    fat: Field
    """0..1: inside a fat cell."""
    fibre: Field
    """Height field whose contour lines are the stroma's fibres, um."""
    glands: tuple[Gland, ...]


def lay_anatomy(look: TissueLook, seed: int, window: Window) -> Anatomy:
    """The tissue's architecture over `window`, whose step should be `STEP_UM`."""
    shape = (window.height, window.width)
    x, y = np.meshgrid(window.xs(), window.ys())
    bend = smooth_noise(window, 14.0, seed, _BEND) * 2.2
    depth = np.full(shape, OUTSIDE_UM, np.float32)
    lumen = np.zeros(shape, np.float32)
    glands = _glands_near(look, seed, window)
    for gland in glands:
        own = gland.depth(x, y) + bend
        if gland.has_lumen:
            inside = np.clip((own - look.epithelium_um) / 2.5, 0, 1)
            lumen = np.where(own > depth, inside, lumen)
        else:
            lumen = np.where(own > depth, 0, lumen)
        depth = np.maximum(depth, own)
    outside = np.clip(-depth / 4, 0, 1).astype(np.float32)
    crowds = smooth_noise(window, look.lymphocyte_patch_um, seed, _LYMPH)
    lymph = _share(crowds, look.lymphocyte_fraction, 0.25)
    fat = _fat_cells(look, seed, window) * np.clip(-(depth + 10) / 6, 0, 1).astype(np.float32)
    slope = smooth_noise(window, 260.0, seed, _FIBRE) * 120
    fibre = slope + smooth_noise(window, 45.0, seed, _FIBRE + 20) * 16 + y.astype(np.float32) * 0.35
    return Anatomy(window, depth, lumen, lymph * outside, fat, fibre, glands)


def _share(noise: Field, fraction: float, softness: float) -> Field:
    """0..1: about `fraction` of the plane above one half."""
    if fraction <= 0:
        return np.zeros_like(noise)
    level = NormalDist().inv_cdf(1 - min(fraction, 0.999))
    share: Field = np.clip((noise - level) / softness + 0.5, 0, 1).astype(np.float32)
    return share


def _glands_near(look: TissueLook, seed: int, window: Window) -> tuple[Gland, ...]:
    spacing = look.gland_spacing_um
    right = window.left + window.width * window.step
    bottom = window.top + window.height * window.step
    found = []
    for iy in range(int(window.top // spacing) - 1, int(bottom // spacing) + 2):
        for ix in range(int(window.left // spacing) - 2, int(right // spacing) + 2):
            gland = _gland(look, seed, ix, iy)
            if gland is not None and gland.touches(window):
                found.append(gland)
    return tuple(found)


@lru_cache(maxsize=4096)
def _gland(look: TissueLook, seed: int, ix: int, iy: int) -> Gland | None:
    draws = [
        float(hash_uniform(np.array(ix), np.array(iy), seed, _GLAND * 100 + k)[0])
        for k in range(16)
    ]
    spacing = look.gland_spacing_um
    x = (ix + 0.5 + 0.55 * (draws[0] - 0.5) + 0.5 * (iy % 2)) * spacing
    y = (iy + 0.5 + 0.55 * (draws[1] - 0.5)) * spacing
    crowding = NormalDist().cdf(noise_at(x, y, 240.0, seed, _CROWDING))
    if 0.75 * crowding + 0.25 * draws[2] > look.gland_fraction:
        return None
    amplitude = np.array(draws[3:7]) * np.array([0.16, 0.13, 0.09, 0.06])
    wobble = np.stack([amplitude, np.array(draws[7:11]) * 2 * np.pi], axis=1)
    return Gland(
        x=x,
        y=y,
        radius=spacing * (0.31 + 0.2 * draws[11]),
        stretch=1 + 0.2 * draws[12],
        angle=draws[13] * np.pi,
        wobble=wobble,
        has_lumen=draws[14] < look.lumen_fraction,
        seed=int(draws[15] * 2**52),
    )


def _fat_cells(look: TissueLook, seed: int, window: Window) -> Field:
    """0..1: inside a fat cell; the walls between two, and places without fat, are 0."""
    none = np.zeros((window.height, window.width), np.float32)
    if look.adipose_fraction <= 0:
        return none
    xs, ys = window.xs()[None, :] / FAT_CELL_UM, window.ys()[:, None] / FAT_CELL_UM
    ix, iy = np.floor(xs).astype(np.int64), np.floor(ys).astype(np.int64)
    left, top = int(ix.min()) - 1, int(iy.min()) - 1
    columns, rows = int(ix.max()) - left + 2, int(iy.max()) - top + 2
    cells = Window(left * FAT_CELL_UM, top * FAT_CELL_UM, FAT_CELL_UM, columns, rows)
    fatty = _share(smooth_noise(cells, 170.0, seed, _FAT), look.adipose_fraction, 1e-6)
    if not fatty.any():
        return none
    columns_of, rows_of = np.arange(left, left + columns), np.arange(top, top + rows)
    jitter_x, jitter_y = (
        hash_uniform(columns_of[None, :], rows_of[:, None], seed, _FAT * 100 + k) for k in range(2)
    )
    nearest = np.full((window.height, window.width), 9.0)
    second = nearest.copy()
    cell_is_fat = none.copy()
    for oy in (-1, 0, 1):
        for ox in (-1, 0, 1):
            cx, cy = ix + ox, iy + oy
            place = cy - top, cx - left
            px = cx + 0.15 + 0.7 * jitter_x[place]
            py = cy + 0.15 + 0.7 * jitter_y[place]
            distance = np.hypot(xs - px, ys - py)
            cell_is_fat = np.where(distance < nearest, fatty[place], cell_is_fat)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
    wall = (second - nearest) * FAT_CELL_UM
    fat: Field = (np.clip((wall - 1.5) / 3, 0, 1) * cell_is_fat).astype(np.float32)
    return fat
