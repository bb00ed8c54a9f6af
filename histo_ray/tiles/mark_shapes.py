"""Connected pieces of a mask and how they look: width, length, texture, contrast. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Od = npt.NDArray[np.float32]
Mpp = tuple[float, float]
Window = tuple[slice, slice]

_TEXTURE_PX = 2.0
"""Standard deviation of the blur that a px is compared with."""
_REACH_PX = 24
"""At least half of the widest blur's kernel."""
_VECTOR_PX = 64
"""A multiple of the px that a vector instruction takes."""
_PATCH_PX = 3.0
"""Standard deviation of the patches whose texture `measure_calm` compares."""
_CALM_SHARE = 1 / 3
_RIM_PX = 2.0
"""The outermost px of a piece, where it fades, do not count for its texture."""
_RING_UM = (56.0, 112.0)
"""What is beside a piece lies between these distances from it."""

_RING_SHARE, GREATEST_BESIDE = 0.7, 0.88
"""That share of what is beside a narrow piece has at most so much of its density."""


@dataclass(frozen=True)
class Mark:
    """One connected piece."""

    window: Window
    """Its bounding box with room around it."""
    pixels: Mask
    """Which px of the window it has."""
    half_um: float
    """Half of its greatest width."""
    length: float
    """Length over width of a ribbon of its area and greatest width; 0.8 for a disc."""
    evenness: float
    """Mean depth of its px as a share of the greatest: 0.5 for a ribbon of one width."""
    texture: float
    """Mean deviation of the density of px from that of their neighbours within the piece, as a
    share of the density."""
    contrast: float
    """Density beside it as a share of its own."""
    density: float
    """Median over the piece of the mean optical density."""
    edge_um: float
    """How much of the image's border it lies at."""
    ring: Mask
    """Which px of the window are beside it."""


def _roughness(density: Od, mask: Mask) -> Od:
    """How much each px of a mask differs from the others of the mask around it."""
    level = _blur_within(density, mask, _TEXTURE_PX)
    return np.asarray(np.abs(density - level), np.float32)


def _blur_within(values: Od, mask: Mask, sigma: float) -> Od:
    """Blur of the px of a mask that takes nothing from beside it."""
    inside = mask.astype(np.float32)
    sums = cv2.GaussianBlur(values * inside, (0, 0), sigma)
    return np.asarray(sums / np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3), np.float32)


def measure_marks(mask: Mask, density: Od, mpp: Mpp, least_um2: float) -> Iterator[Mark]:
    """Measure the connected pieces of a mask.

    Args:
        mask: (h, w) bool.
        density: (h, w) mean optical density.
        mpp: (x, y) microns per px.
        least_um2: Smaller pieces are left out.
    """
    least = max(1.0, least_um2 / (mpp[0] * mpp[1]))
    if np.count_nonzero(mask) < least:
        return
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(boxes[:, cv2.CC_STAT_AREA] >= least)
    room = 2 + round(_RING_UM[1] / min(mpp))
    windows = {}
    for label in large[large > 0].tolist():
        left, top, width, height = boxes[label, :4].tolist()
        windows[label] = (
            slice(max(0, top - room), min(mask.shape[0], top + height + room)),
            slice(max(0, left - room), min(mask.shape[1], left + width + room)),
        )
    rough = _Roughness(density, mask, windows.values())
    for label, window in windows.items():
        pixels = labels[window] == label
        yield _measure(window, pixels, density, rough.of(window), mpp)


class _Roughness:
    """`_roughness` of windows, computed for the whole image where that is less work."""

    def __init__(self, density: Od, mask: Mask, windows: Collection[Window]) -> None:
        self._density, self._mask = density, mask
        areas = [_area(self._around(window)) for window in windows]
        self._whole = _roughness(density, mask) if sum(areas) >= mask.size else None

    def of(self, window: Window) -> Od:
        """The same bits whether the whole image was computed or not."""
        if self._whole is not None:
            return self._whole[window]
        rows, columns = around = self._around(window)
        rough = _roughness(
            np.ascontiguousarray(self._density[around]), np.ascontiguousarray(self._mask[around])
        )
        top, left = window[0].start - rows.start, window[1].start - columns.start
        height, width = (axis.stop - axis.start for axis in window)
        return rough[top : top + height, left : left + width]

    def _around(self, window: Window) -> Window:
        """What the roughness of a window depends on.

        Columns begin and end at multiples of `_VECTOR_PX`: a blur in vector instructions treats
        what is left at the end of a row otherwise, which shows in the last bits.
        """
        height, width = self._mask.shape
        rows, columns = window
        left = max(0, columns.start - _REACH_PX) // _VECTOR_PX * _VECTOR_PX
        right = -(-(columns.stop + _REACH_PX) // _VECTOR_PX) * _VECTOR_PX
        return (
            slice(max(0, rows.start - _REACH_PX), min(height, rows.stop + _REACH_PX)),
            slice(left, min(width, right)),
        )


def _area(window: Window) -> int:
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def stands_out(mark: Mark, density: Od) -> bool:
    """Whether most of what is beside a piece is less dense than it, on both of its sides.

    The rim of a broad piece has that piece on one side.
    """
    own = density[mark.window]
    ring = own[mark.ring]
    if not ring.size:
        return False
    level = float(np.median(own[mark.pixels]))
    return float(np.quantile(ring, _RING_SHARE)) <= GREATEST_BESIDE * level


def measure_calm(mark: Mark, density: Od) -> float:
    """Texture of the smoothest third of a piece, in the direction in which it is smoothest.

    A stroke is smooth where it runs over glass, and along the border of the tissue that it
    follows; tissue is as rough everywhere, in all directions.
    """
    own, pixels = density[mark.window], mark.pixels
    inside = pixels.astype(np.float32)
    grains: list[Od] = []
    for kernel in _directions():
        level = cv2.filter2D(own * inside, -1, kernel) / np.maximum(
            cv2.filter2D(inside, -1, kernel), 1e-3
        )
        grains.append(_blur_within(np.asarray(np.abs(own - level), np.float32), pixels, _PATCH_PX))
    smoothest = np.minimum.reduce(grains)
    calm = float(np.quantile(smoothest[pixels], _CALM_SHARE))
    return calm / max(float(own[pixels].mean()), 1e-6)


def _directions() -> Iterator[npt.NDArray[np.float32]]:
    """Blurs along lines of four directions."""
    reach = 4
    line = np.asarray(cv2.getGaussianKernel(2 * reach + 1, _TEXTURE_PX), np.float32)[:, 0]
    flat = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    flat[reach] = line
    yield from (flat, flat.T, np.diag(line), np.diag(line)[::-1])


def disc(radius_um: float, mpp: Mpp) -> npt.NDArray[np.uint8]:
    """A structuring element of that radius, at least one px."""
    width, height = (2 * round(radius_um / axis) + 1 for axis in mpp)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height)), np.uint8)


def dilate(mask: Mask, radius_um: float, mpp: Mpp) -> Mask:
    """Grow a mask by a radius."""
    if _by_distance(radius_um, mpp):
        return np.asarray(_distance(mask) <= _reach(radius_um, mpp), bool) & bool(mask.any())
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc(radius_um, mpp)), bool)


def _by_distance(radius_um: float, mpp: Mpp) -> bool:
    """Whether distances are faster than a large disc, and the disc is round in px."""
    return radius_um >= 3 * max(mpp) and max(mpp) <= 1.02 * min(mpp)


def _distance(mask: Mask) -> Od:
    """Distance of each px from a mask, in px."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _reach(radius_um: float, mpp: Mpp) -> float:
    """The greatest distance, in px, that counts as within a radius."""
    return round(radius_um / mpp[0]) + 0.2


def _measure(window: Window, pixels: Mask, density: Od, grain: Od, mpp: Mpp) -> Mark:
    """Measure one piece; a piece that goes on beyond the image is not narrower for that."""
    framed = cv2.copyMakeBorder(pixels.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    depth = np.minimum(depth, max(pixels.shape))  # a piece that fills the image has no border
    deepest = float(depth.max())
    inner = depth > min(_RIM_PX, 0.6 * deepest)
    own = density[window]
    median = float(np.median(own[inner]))
    level = max(float(own[inner].mean()), 1e-6)
    beside = _ring(pixels, mpp)
    ring = own[beside]
    return Mark(
        window,
        pixels,
        half_um=deepest * float(np.sqrt(mpp[0] * mpp[1])),
        length=float(np.count_nonzero(pixels)) / (4 * deepest**2),
        evenness=float(depth[pixels].mean()) / deepest,
        texture=float(grain[inner].mean()) / level,
        contrast=float(np.median(ring)) / max(median, 1e-6) if ring.size else 1.0,
        density=median,
        edge_um=_edge(window, pixels, density.shape, mpp),
        ring=beside,
    )


def _ring(pixels: Mask, mpp: Mpp) -> Mask:
    """What is beside a piece."""
    if not all(_by_distance(radius, mpp) for radius in _RING_UM):
        near, far = (dilate(pixels, radius, mpp) for radius in _RING_UM)
        return far & ~near
    away = _distance(pixels)
    near_px, far_px = (_reach(radius, mpp) for radius in _RING_UM)
    return np.asarray((away > near_px) & (away <= far_px), bool) & bool(pixels.any())


def _edge(window: Window, pixels: Mask, shape: tuple[int, ...], mpp: Mpp) -> float:
    """Length of the image's border that a piece lies at."""
    rows, columns = window
    length = 0.0
    if rows.start == 0:
        length += float(pixels[0].sum()) * mpp[0]
    if rows.stop >= shape[0]:
        length += float(pixels[-1].sum()) * mpp[0]
    if columns.start == 0:
        length += float(pixels[:, 0].sum()) * mpp[1]
    if columns.stop >= shape[1]:
        length += float(pixels[:, -1].sum()) * mpp[1]
    return length
