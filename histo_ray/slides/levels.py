"""Which level a tile is read from, and how much of it. Pure."""

from histo_ray.errors import SlideError
from histo_ray.types import LevelRead, Mpp, Pyramid

UPSAMPLE_TOLERANCE = 0.05
"""Largest relative enlargement accepted before a slide counts as too coarse."""

LEVEL_TOLERANCE = 0.01
"""A level this much coarser than asked still counts as fine enough: level sizes are rounded."""

_SNAP = 1e-6
"""Lengths this near to a whole number of px are whole: what differs is float arithmetic."""


def require_fine_enough(pyramid: Pyramid, mpp: float) -> None:
    """Refuse a slide whose tiles would have to be enlarged.

    Raises:
        SlideError: Level 0 is coarser than `mpp` by more than `UPSAMPLE_TOLERANCE`.
    """
    coarsest = max(pyramid.mpp)
    if coarsest > mpp * (1 + UPSAMPLE_TOLERANCE):
        raise SlideError(
            pyramid.slide_id,
            f"scanned at {coarsest:g} mpp, coarser than the requested {mpp:g} mpp; "
            "raise --mpp or leave the slide out",
        )


def choose_level(pyramid: Pyramid, mpp: float, tile_px: int) -> LevelRead:
    """Pick the coarsest level that is fine enough along both axes.

    Args:
        pyramid: Size and resolution of the slide.
        mpp: Resolution asked for.
        tile_px: Edge of a tile in px at `mpp`.

    Returns:
        The level and the exact extent of a tile in its px.

    Raises:
        SlideError: The slide is coarser than `mpp`.
    """
    require_fine_enough(pyramid, mpp)
    level = finest_enough(pyramid, Mpp(mpp, mpp))
    downsample = nominal_downsample(pyramid, level)
    width, height = (
        snap(tile_px * mpp / (axis_mpp * axis_downsample))
        for axis_mpp, axis_downsample in zip(pyramid.mpp, downsample, strict=True)
    )
    return LevelRead(level, downsample, (width, height), (_ceil(width), _ceil(height)))


def finest_enough(pyramid: Pyramid, mpp: Mpp) -> int:
    """The coarsest level whose (x, y) mpp are both at most `mpp`; level 0 if none is."""
    fine_enough = 0
    for level in range(1, len(pyramid.level_sizes)):
        x, y = nominal_downsample(pyramid, level)
        limit = 1 + LEVEL_TOLERANCE
        if pyramid.mpp.x * x <= mpp.x * limit and pyramid.mpp.y * y <= mpp.y * limit:
            fine_enough = level
    return fine_enough


def nominal_downsample(pyramid: Pyramid, level: int) -> tuple[float, float]:
    """(x, y) level-0 px per px of `level`, freed of the rounding of the level's size.

    2967 px halved twice are 741, which would make 4.004; a whole number that explains the size
    is what the scanner's software used.
    """
    width, height = pyramid.size
    w, h = pyramid.level_sizes[level]
    return _nominal(width, w), _nominal(height, h)


def snap(length: float) -> float:
    """`length`, or the whole number it misses by float arithmetic only."""
    whole = float(round(length))
    return whole if abs(length - whole) < _SNAP * max(1.0, whole) else length


def _nominal(full: int, reduced: int) -> float:
    whole = round(full / reduced)
    return float(whole) if abs(full - whole * reduced) < whole else full / reduced


def _ceil(length: float) -> int:
    return max(1, -int(-length // 1))
