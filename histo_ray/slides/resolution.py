"""Which microns per pixel a slide gets, from what its sources state. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from histo_ray.types import Mpp, MppSource

LEAST_MPP, GREATEST_MPP = 0.05, 20.0
"""Anything outside is no microscope slide but a wrong unit, a screen's dpi, or a placeholder."""

_MICRONS_PER_UNIT = {"centimeter": 10_000.0, "inch": 25_400.0}
_COMPARED = ("ome-xml", "imagej", "tiff-tags")
_SAME_MPP = 0.02
"""Sources that differ by less only round differently."""


@dataclass(frozen=True)
class StatedMpp:
    """What one source inside a file states; None where it is silent."""

    source: MppSource
    x: float | None
    y: float | None

    @property
    def plausible(self) -> Mpp | None:
        """Both axes, each by itself; an axis left unsaid takes the other's."""
        found = [mpp for mpp in (self.x, self.y) if mpp is not None and is_plausible(mpp)]
        if not found:
            return None
        return Mpp(found[0], found[-1])


def is_plausible(mpp: float | None) -> bool:
    """Whether `mpp` lies in 0.05..20 microns per pixel (NaN does not)."""
    return mpp is not None and LEAST_MPP <= mpp <= GREATEST_MPP


def choose_mpp(
    manifest: float | None, stated: Sequence[StatedMpp], flag: float | None
) -> tuple[Mpp, MppSource] | None:
    """The first source that gives a plausible mpp, in this order.

    1. `manifest`: the manifest's mpp column, for both axes.
    2. `file`: the properties openslide.mpp-x and openslide.mpp-y, each axis by itself.
    3. `ome-xml`: PhysicalSizeX and PhysicalSizeY of an OME-TIFF, if their unit is a length.
    4. `imagej`: the resolution tags of an ImageJ TIFF, in the unit that its text names.
    5. `tiff-tags`: the TIFF's resolution tags, if their unit is cm or inch.
    6. `flag`: the run's --slide-mpp, for both axes.

    Never from a magnification, and never from the dpi of a PNG or JPEG: both are guesses.

    Args:
        manifest: mpp of the manifest; what the caller says is taken as it is.
        stated: What the file states, best source first.
        flag: mpp for slides that state none.

    Returns:
        The mpp and where it came from, or None if nothing gives one.
    """
    if manifest is not None:
        return Mpp(manifest, manifest), "manifest"
    for statement in stated:
        if (mpp := statement.plausible) is not None:
            return mpp, statement.source
    if flag is not None:
        return Mpp(flag, flag), "flag"
    return None


def describe_conflict(stated: Sequence[StatedMpp]) -> str:
    """Describe a TIFF whose texts and tags state different resolutions; empty if they agree.

    What a scanner's maker states is not compared: OpenSlide knows it for right.
    """
    found = [each for each in stated if each.source in _COMPARED and each.plausible is not None]
    for one, other in pairwise(found):
        a, b = one.plausible, other.plausible
        if a is None or b is None:
            continue
        if any(abs(x / y - 1) > _SAME_MPP for x, y in zip(a, b, strict=True)):
            return (
                f"the file states two resolutions: {one.source} {a.x:g} x {a.y:g} and "
                f"{other.source} {b.x:g} x {b.y:g} microns per pixel; give the right one in the "
                "manifest column mpp"
            )
    return ""


def mpp_from_tiff(x: float | None, y: float | None, unit: str) -> StatedMpp:
    """Microns per pixel from TIFF resolutions in px per `unit` ("centimeter", "inch" or other)."""
    microns = _MICRONS_PER_UNIT.get(unit)

    def invert(per_unit: float | None) -> float | None:
        if microns is None or per_unit is None or not math.isfinite(per_unit) or per_unit <= 0:
            return None
        return microns / per_unit

    return StatedMpp("tiff-tags", invert(x), invert(y))
