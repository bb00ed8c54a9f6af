"""What lies on a synthetic slide: tissue with an irregular outline, dust, a pen mark. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.noise import Field, Window, smooth_noise
from histo_ray.synth.stain_mixing import GLASS
from histo_ray.synth.texture import enlarge, paint_tissue
from histo_ray.synth.tissue_looks import TissueLook

OUTLINE_STEP_UM = 8.0
_OUTLINE, _FRINGE, _TILT = 80, 81, 82
_FRINGE_UM = 7.0
_GRAIN_PX = 256
_BLOCK_PX = 512
_PEN_UM = 70.0
_PEN_SOFT_UM = 3.0
_PEN_RGB = np.array([38, 92, 84], np.float32)


@dataclass(frozen=True)
class SlideDesign:
    """Everything that decides a synthetic slide's pixels."""

    size: tuple[int, int]
    """(width, height), level-0 px."""
    mpp: float
    look: TissueLook
    seed: int = 0
    """Seed of the tissue and its outline; the same seed and extent in um is the same tissue."""
    tissue_share: float = 0.4
    """Share of the slide that is tissue; 0 is an empty slide."""
    dust: int = 12
    """Specks on the cover glass."""
    pen: bool = False
    """Whether the tissue is marked with a pen."""


@dataclass(frozen=True)
class Scene:
    """A planned slide with its outline worked out; draws any window of itself."""

    plan: SlideDesign
    outline: Field
    """(height, width) um inside the tissue's border, one value each `OUTLINE_STEP_UM`."""
    grain: Field
    """(_GRAIN_PX, _GRAIN_PX + _BLOCK_PX, 3) scanner noise, repeated over the slide."""
    glass: npt.NDArray[np.uint8]
    """The same shape: the empty slide with that noise."""
    specks: npt.NDArray[np.float64]
    """(n, 4) dust: x, y, radius in um, and how dark, 0..1."""
    pen_path: npt.NDArray[np.float64]
    """(n, 2) corners of the pen's line, um; empty for no mark."""

    def draw(self, x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The slide's pixels in a rectangle of level-0 px: (height, width, 3) uint8."""
        picture = np.empty((height, width, 3), np.uint8)
        for left in range(0, width, _BLOCK_PX):
            wide = min(_BLOCK_PX, width - left)
            picture[:, left : left + wide] = self._block(x + left, y, wide, height)
        return picture

    def _block(self, x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        mpp = self.plan.mpp
        window = Window(x * mpp, y * mpp, mpp, width, height)
        rows, first = (y + np.arange(height)) % _GRAIN_PX, x % _GRAIN_PX
        share = self.tissue_share(window)
        if not (share.any() or self.plan.pen or self._dusty(window)):
            return self.glass[rows, first : first + width]
        light = np.full((height, width, 3), GLASS, np.float32)
        if share.all():
            light = paint_tissue(self.plan.look, self.plan.seed, window)
        elif share.any():
            tissue = paint_tissue(self.plan.look, self.plan.seed, window)
            light += (tissue - light) * share[..., None]
        self._draw_dust(light, window)
        self._draw_pen(light, window)
        light += self.grain[rows, first : first + width]
        return _to_bytes(light)

    def _dusty(self, window: Window) -> bool:
        """Whether a speck may touch the window."""
        reach = 3 * self.specks[:, 2]
        x, y = self.specks[:, 0] - window.left, self.specks[:, 1] - window.top
        inside_x = (x > -reach) & (x < window.width * window.step + reach)
        inside_y = (y > -reach) & (y < window.height * window.step + reach)
        return bool((inside_x & inside_y).any())

    def tissue_share(self, window: Window) -> Field:
        """0..1: how much of each px is tissue, with a frayed edge."""
        rows, columns = self.outline.shape
        source = Window(0.0, 0.0, OUTLINE_STEP_UM, columns, rows)
        inside = enlarge(self.outline, source, window)
        if inside.max() < -4 * _FRINGE_UM:
            return np.zeros_like(inside)
        frayed = inside + _FRINGE_UM * smooth_noise(window, 9.0, self.plan.seed, _FRINGE)
        return np.clip(frayed / 2.0, 0, 1).astype(np.float32)

    def _draw_dust(self, light: Field, window: Window) -> None:
        for x, y, radius, dark in self.specks:
            column, row = (x - window.left) / window.step, (y - window.top) / window.step
            reach = 2.5 * radius / window.step
            left, right = max(0, int(column - reach)), min(window.width, int(column + reach) + 1)
            top, bottom = max(0, int(row - reach)), min(window.height, int(row + reach) + 1)
            if left < right and top < bottom:
                dy = np.arange(top, bottom)[:, None] + 0.5 - row
                dx = np.arange(left, right)[None, :] + 0.5 - column
                shade = dark * np.exp(-(((dx**2 + dy**2) * (window.step / radius) ** 2) ** 2))
                light[top:bottom, left:right] *= (1 - shade[..., None]).astype(np.float32)

    def _draw_pen(self, light: Field, window: Window) -> None:
        if not len(self.pen_path):
            return
        # Drawn with a margin, so that the soft edge runs on across the borders of blocks.
        margin = round(4 * _PEN_SOFT_UM / window.step) + 1
        height, width = light.shape[:2]
        points = (self.pen_path - [window.left, window.top]) / window.step - 0.5 + margin
        fixed = np.round(points * 16).astype(np.int32)
        line = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
        thickness = max(1, round(_PEN_UM / window.step))
        cv2.polylines(line, [fixed], False, 255, thickness, cv2.LINE_8, 4)
        if line.any():
            soft = cv2.GaussianBlur(line, (0, 0), _PEN_SOFT_UM / window.step)
            ink = soft[margin : margin + height, margin : margin + width, None].astype(np.float32)
            ink *= np.float32(0.88 / 255)
            light *= 1 - ink + ink * (_PEN_RGB / 255)


def set_scene(plan: SlideDesign) -> Scene:
    """Work out a slide's outline, dust and pen mark from its plan."""
    rng = np.random.default_rng([plan.seed, 1])
    extent = np.array(plan.size) * plan.mpp
    specks = np.empty((plan.dust, 4))
    specks[:, :2] = rng.uniform(0, 1, (plan.dust, 2)) * extent
    specks[:, 2] = rng.uniform(1.5, 7, plan.dust)
    specks[:, 3] = rng.uniform(0.15, 0.6, plan.dust)
    square = rng.normal(0, 1.1, (_GRAIN_PX, _GRAIN_PX, 3)).astype(np.float32)
    grain = np.concatenate([square] * (1 + _BLOCK_PX // _GRAIN_PX), axis=1)
    return Scene(plan, _outline(plan), grain, _to_bytes(GLASS + grain), specks, _pen_path(plan))


def _to_bytes(light: Field) -> npt.NDArray[np.uint8]:
    light += 0.5
    rounded: npt.NDArray[np.uint8] = np.clip(light, 0, 255, out=light).astype(np.uint8)
    return rounded


def _outline(plan: SlideDesign) -> Field:
    """Um inside the border of pieces that cover `tissue_share` of the slide."""
    width, height = (int(side * plan.mpp // OUTLINE_STEP_UM) + 2 for side in plan.size)
    window = Window(0.0, 0.0, OUTLINE_STEP_UM, width, height)
    if plan.tissue_share <= 0:
        return np.full((height, width), -1e3, np.float32)
    extent = max(plan.size) * plan.mpp
    hills = smooth_noise(window, extent / 5, plan.seed, _OUTLINE)
    hills += 0.22 * smooth_noise(window, extent / 18, plan.seed, _TILT)
    x, y = (2 * (np.arange(n) + 0.5) / n - 1 for n in (width, height))
    edge = (np.abs(x)[None, :] ** 3 + np.abs(y)[:, None] ** 3) ** (1 / 3)
    hills -= (1.8 * edge**2 + 9 * np.clip(edge - 0.9, 0, 1) / 0.1).astype(np.float32)
    tissue = (hills > np.quantile(hills, 1 - plan.tissue_share)).astype(np.uint8)
    inside = cv2.distanceTransform(tissue, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - tissue, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    smooth = cv2.GaussianBlur(inside - outside, (0, 0), 1.5)
    distance: Field = (smooth * np.float32(OUTLINE_STEP_UM)).astype(np.float32)
    return distance


def _pen_path(plan: SlideDesign) -> npt.NDArray[np.float64]:
    """A hook beside the upper left of the tissue."""
    if not plan.pen:
        return np.empty((0, 2))
    turn = np.linspace(1.05, 1.75, 24) * np.pi
    corners = np.stack([0.30 + 0.25 * np.cos(turn), 0.42 + 0.36 * np.sin(turn)], axis=1)
    path: npt.NDArray[np.float64] = corners * np.array(plan.size) * plan.mpp
    return path
