"""Which levels of a pyramid are sound: reduced images of the whole slide, by a factor that holds.

Pure. A level that is left out costs time only: tiles are read from a finer one.
"""

from collections.abc import Sequence

from histo_ray.types import Size

_RELATIVE = 0.005
"""Factors along x and y that differ by less are equal, whatever the rounding of sizes."""
_COMMON = (2, 3, 5)
"""Prime factors of the whole numbers by which writers of pyramids shrink."""


def factor_range(full: float, reduced: float, slack: float = 1.0) -> tuple[float, float]:
    """Factors that shrink `full` px to `reduced`, give or take less than `slack` px of rounding."""
    return full / (reduced + slack), full / max(reduced - slack, 1e-9)


def sizes_agree(full: Size, reduced: Size) -> bool:
    """Whether one factor explains both axes of a reduced image, but for rounding."""
    (low_x, high_x), (low_y, high_y) = (
        factor_range(whole, part) for whole, part in zip(full, reduced, strict=True)
    )
    return max(low_x, low_y) < min(high_x, high_y)


def describe_unsound(full: Size, reduced: Size) -> str:
    """Why a level cannot be a reduced image of the whole slide; empty if it can."""
    x, y = full[0] / reduced[0], full[1] / reduced[1]
    if not sizes_agree(full, reduced) and abs(x / y - 1) > _RELATIVE:
        return f"its size makes it {x:.4g} times smaller along x and {y:.4g} along y"
    return ""


def describe_uncertain(full: Size, reduced: Size, tile: Size) -> str:
    """Why the factor of a level of a TIFF without a maker is uncertain; empty if it is not.

    Some writers pad levels to whole tiles, which shifts all that is computed from their sizes.
    Sound is a whole number that explains both axes to the rounding, and no other that would if the
    level were padded.

    Args:
        full: (width, height) of level 0.
        reduced: (width, height) of the level.
        tile: (width, height) of the level's tiles; zeros if it has none.
    """
    x, y = full[0] / reduced[0], full[1] / reduced[1]
    factor = round(x)
    explained = all(
        abs(whole - factor * part) <= factor for whole, part in zip(full, reduced, strict=True)
    )
    if factor < 1 or not explained or not _is_common(factor):
        return f"no usual factor explains its size ({x:.4g} along x, {y:.4g} along y)"
    if factor > 1 and all(t > 1 and r % t == 0 for r, t in zip(reduced, tile, strict=True)):
        low = max((w - t + 1) / r for w, r, t in zip(full, reduced, tile, strict=True))
        high = min(w / (r - t + 1) for w, r, t in zip(full, reduced, tile, strict=True))
        powers = [2**n for n in range(1, 31) if low <= 2**n <= high]
        if powers != [factor]:
            return f"it may be padded to whole tiles, so its factor need not be {factor}"
    return ""


def choose_levels(
    sizes: Sequence[Size], reasons: Sequence[str] = ()
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Keep the levels that are sound, and say what is wrong with the others.

    Args:
        sizes: (width, height) of each level, level 0 first.
        reasons: What else is wrong with each level; empty strings for nothing.

    Returns:
        Numbers of the levels kept, level 0 first and ever coarser, and a sentence on each other.
    """
    kept, left_out = [0], []
    for level in range(1, len(sizes)):
        reason = reasons[level] if reasons else ""
        size, last = sizes[level], sizes[kept[-1]]
        if not reason and (min(size) < 1 or size[0] >= last[0] or size[1] > last[1]):
            reason = "it is not coarser than the level before it"
        reason = reason or describe_unsound(sizes[0], size)
        if reason:
            left_out.append(f"level {level} ({size[0]} x {size[1]} px): {reason}")
        else:
            kept.append(level)
    return tuple(kept), tuple(left_out)


def _is_common(factor: int) -> bool:
    for prime in _COMMON:
        while factor % prime == 0:
            factor //= prime
    return factor == 1
