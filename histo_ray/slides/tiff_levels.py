"""Which of a TIFF's directories are levels of the slide, from one look at all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import tifffile

from histo_ray.slides.resolution import StatedMpp
from histo_ray.slides.sound_levels import choose_levels, describe_uncertain
from histo_ray.slides.tiff_meaning import MeaningError, read_colours
from histo_ray.slides.tiff_resolution import read_stated_mpp
from histo_ray.types import Size

_ALIKE = ("samplesperpixel", "bitspersample", "planarconfig", "photometric", "compression")
"""What the levels of a slide have in common; the last two Aperio's scanners may choose by level."""


@dataclass(frozen=True)
class TiffLevels:
    """Levels of a slide's TIFF, and the resolution that it states."""

    stated_mpp: tuple[StatedMpp, ...]
    """Resolutions stated in its texts, the most trustworthy first."""
    unsound: tuple[str, ...]
    """What is wrong with each of the levels that OpenSlide finds; empty for nothing."""
    beside: tuple[str, ...]
    """Sentences on levels that OpenSlide does not find."""


def read_tiff_levels(tiff: tifffile.TiffFile, vendor: str, sizes: Sequence[Size]) -> TiffLevels:
    """Find the levels and the stated mpp of a TIFF that OpenSlide opens.

    Args:
        tiff: The parsed file, whose first image is known to be sound.
        vendor: OpenSlide's name for the format: `aperio` or `generic-tiff`.
        sizes: (width, height) of each level by OpenSlide.

    Raises:
        MeaningError: Its pixels cannot be used, or its levels are not those that OpenSlide finds.
    """
    first = tiff.pages.first
    pages = level_pages(tiff, vendor)
    found = [(page.imagewidth, page.imagelength) for page in pages]
    if found != list(sizes):
        raise MeaningError(
            f"OpenSlide finds levels of {_list(sizes)} px, where the directories of the TIFF make "
            f"them {_list(found)}; convert it to a pyramidal TIFF, for example with vips"
        )
    exact = vendor == "generic-tiff"
    unsound = ["", *(_describe_page(first, page, exact=exact) for page in pages[1:])]
    stated = read_stated_mpp(tiff, first) if exact else ()
    count = len(first.subifds or ())
    levels = "1 level" if count == 1 else f"{count} levels"
    beside = (f"{levels} in sub-IFDs, which OpenSlide does not read",) if count else ()
    return TiffLevels(stated, tuple(unsound), beside)


def check_levels(tiff: tifffile.TiffFile, vendor: str) -> None:
    """Tell what is wrong with the levels of a TIFF that OpenSlide has refused.

    Raises:
        MeaningError: One of them is no reduced image of the slide.
    """
    first, *others = level_pages(tiff, vendor)
    exact = vendor == "generic-tiff"
    sizes = [(page.imagewidth, page.imagelength) for page in (first, *others)]
    unsound = ["", *(_describe_page(first, page, exact=exact) for page in others)]
    _, left_out = choose_levels(sizes, unsound)
    if left_out:
        raise MeaningError(
            "OpenSlide cannot open it beside reduced images that are no levels of it "
            f"({'; '.join(left_out)}); write the TIFF anew without them, for example with `vips "
            "tiffsave --tile --pyramid`"
        )


def level_pages(tiff: tifffile.TiffFile, vendor: str) -> list[tifffile.TiffPage]:
    """The directories that OpenSlide takes for levels, in its order."""
    pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
    tiled = [page for page in pages if page.is_tiled]
    if vendor == "aperio":
        return tiled
    levels = [p for p in tiled if p is pages[0] or int(p.tags.valueof(254, 0)) & 1]
    return sorted(levels, key=lambda page: -page.imagewidth)


def _describe_page(first: tifffile.TiffPage, page: tifffile.TiffPage, *, exact: bool) -> str:
    """What is wrong with a reduced image, seen from level 0; empty if nothing."""
    try:
        read_colours(page)
    except MeaningError as error:
        return str(error).partition(";")[0]
    for name in _ALIKE if exact else _ALIKE[:3]:
        if getattr(first, name) != getattr(page, name):
            return "it is stored otherwise than level 0, as a label or a picture of the glass is"
    full, reduced = ((p.imagewidth, p.imagelength) for p in (first, page))
    return describe_uncertain(full, reduced, (page.tilewidth, page.tilelength))


def _list(sizes: Sequence[Size]) -> str:
    return ", ".join(f"{width} x {height}" for width, height in sizes)
