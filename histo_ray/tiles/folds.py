"""Tissue folds on an overview. Pure.

Where a section lies folded, light passes tissue twice, and optical densities add (Beer and
Lambert): a fold is darker and more saturated than what lies beside it. Bautista and Yagi (J Pathol
Inform 2010, 1:25) show folds by the difference of saturation and luminance, and Kothari et al. (J
Pathol Inform 2013, 4:22) take a high threshold of it for the core of a fold and a lower one for
what is connected to it, both relative to the slide. Epithelium beside stroma passes such
thresholds, too. So densities are compared channel by channel here: a fold has more of all, in the
proportions of the tissue around it, where nuclei have more red and no more blue. And it must have
the shape of a fold: a ribbon that stands out from what is beside it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.tiles.channels import mean_channel, split_channels
from histo_ray.tiles.mark_shapes import Mark, measure_marks

Mask = npt.NDArray[np.bool_]
Od = npt.NDArray[np.float32]
Mpp = tuple[float, float]

CORE_DENSITY, RIM_DENSITY = 1.5, 1.25
"""Density over that of the tissue around, in the channel where it exceeds it least, of the core of
a fold and of what is connected to it. Of tissue that lies double it is 2, less where a px of the
overview is wider than the fold, or the fold fills much of what it is compared with."""
GREATEST_SPREAD = 1.35
"""The same in the channel where it exceeds it most, over that where least: nuclei differ more."""
LEAST_DENSITY = 0.2
"""Mean density of the palest fold."""
LEAST_FOLD_UM2 = 12_000.0
"""A fold is at least this large; clumps of nuclei and pigment are smaller."""
GREATEST_HALF_UM = 160.0
"""Half the width of the broadest fold."""
LEAST_LENGTH = 3.0
"""Length over width, see `Mark.length`."""
GREATEST_CONTRAST = 0.72
"""Density of what is beside a fold as a share of its own, see `Mark.contrast`."""
_GLASS_DENSITY = 0.04
"""Added to both densities that are compared: noise of pale channels is no fold."""
_AROUND_UM = 250.0
"""Half the edge of the square whose tissue is what a px is compared with."""
_SMOOTHING_UM = 8.0


def find_folds(od: Od, mpp: Mpp, tissue: Mask) -> Mask:
    """Find folds of the tissue.

    Args:
        od: (h, w, 3) optical densities of red, green and blue.
        mpp: (x, y) microns per px; at most about 16, or folds are narrower than a px.
        tissue: (h, w) bool, without pen marks.

    Returns:
        (h, w) bool.
    """
    folds = np.zeros(tissue.shape, bool)
    if not tissue.any():
        return folds
    density = _smooth(mean_channel(od), mpp)
    least = np.full(tissue.shape, np.inf, np.float32)
    most = np.zeros(tissue.shape, np.float32)
    for channel in split_channels(od):
        plane = _smooth(channel, mpp) + np.float32(_GLASS_DENSITY)
        excess = plane / _level_around(plane, density * tissue, mpp)
        np.minimum(least, excess, out=least)
        np.maximum(most, excess, out=most)
    rim = tissue & (least > RIM_DENSITY) & (density > LEAST_DENSITY)
    rim &= most < GREATEST_SPREAD * least
    core = rim & (least > CORE_DENSITY)
    for mark in measure_marks(rim, density, mpp, LEAST_FOLD_UM2):
        if _is_fold(mark, core):
            folds[mark.window] |= mark.pixels
    return folds


def _is_fold(mark: Mark, core: Mask) -> bool:
    """Whether it has the shape of a fold, and a core."""
    return (
        mark.half_um <= GREATEST_HALF_UM
        and mark.length >= LEAST_LENGTH
        and mark.contrast <= GREATEST_CONTRAST
        and bool((core[mark.window] & mark.pixels).any())
    )


def _smooth(plane: Od, mpp: Mpp) -> Od:
    sigma_x, sigma_y = (max(0.5, _SMOOTHING_UM / axis) for axis in mpp)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_x, sigmaY=sigma_y), np.float32)


def _level_around(plane: Od, weights: Od, mpp: Mpp) -> Od:
    """Weighted mean around each px; weights are densities, so gaps in tissue do not count."""
    width, height = (2 * round(_AROUND_UM / axis) + 1 for axis in mpp)
    sums = cv2.boxFilter(plane * weights, -1, (width, height), normalize=False)
    total = cv2.boxFilter(weights, -1, (width, height), normalize=False)
    return np.asarray(np.maximum(sums / np.maximum(total, 1e-3), _GLASS_DENSITY), np.float32)
