"""Opens the TIFFs that OpenSlide takes, after it is settled what they mean."""

from contextlib import ExitStack
from dataclasses import dataclass

import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.base import UnservedError
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_levels import TiffLevels, check_levels, read_tiff_levels
from histo_ray.slides.tiff_meaning import MeaningError, check_images, read_colours

APERIO, GENERIC = "aperio", "generic-tiff"
TIFF_VENDORS = (APERIO, GENERIC)
"""OpenSlide's formats that are described by their TIFF tags alone."""


class UnparsedTiffError(UnservedError):
    """OpenSlide may read this Aperio slide; tifffile cannot parse it."""


@dataclass
class TiffSlide:
    """A TIFF that OpenSlide has opened and whose meaning is known."""

    openslide: OpenSlideReader
    tiff: tifffile.TiffFile
    """Its parsed directories; closed with the `SlideFile`."""
    levels: TiffLevels
    taken: bool = False
    """Whether a reader has taken over `openslide`, which it closes."""

    def take_openslide(self) -> OpenSlideReader:
        """Hand over `openslide` to a reader that will close it."""
        self.taken = True
        return self.openslide

    def close_untaken(self) -> None:
        """Close `openslide` unless a reader has it."""
        if not self.taken:
            self.openslide.close()


def open_tiff_slide(
    local: str, path: str, request: tuple[str, str, str], opened: ExitStack
) -> TiffSlide:
    """Parse a TIFF or SVS that OpenSlide recognises, and open it with OpenSlide.

    Args:
        local: Where the file is.
        path: What the user calls it, for messages.
        request: The slide's id; OpenSlide's name for the format, one of `TIFF_VENDORS`; and
            `auto` or the name of the reader asked for.
        opened: Given the end of what is opened.

    Raises:
        SlideError: Damaged, or what its pixels mean is not known.
        UnservedError: OpenSlide turns its pixels into other colours.
        UnparsedTiffError: An Aperio slide that tifffile cannot parse.
    """
    slide_id, vendor, _ = request
    try:
        tiff = opened.enter_context(tifffile.TiffFile(local))
        slide = _open_parsed(tiff, local, path, request)
    except MeaningError as error:
        raise SlideError(slide_id, f"{path}: {error}") from error
    except (*DAMAGE, MemoryError) as error:
        problem = (
            f"{path} is a damaged TIFF ({' '.join(str(error).split())}); copy the file again, or "
            "leave the slide out"
        )
        if vendor == APERIO:
            raise UnparsedTiffError(problem) from error
        raise SlideError(slide_id, problem) from error
    opened.callback(slide.close_untaken)
    return slide


def _open_parsed(
    tiff: tifffile.TiffFile, local: str, path: str, request: tuple[str, str, str]
) -> TiffSlide:
    slide_id, vendor, asked = request
    tiff.pages.cache = True  # they are gone through several times
    colours = read_colours(
        check_images(tiff, tiled_only=vendor == APERIO)
    )  # before OpenSlide, whose reason may be another
    if vendor == GENERIC and not colours.openslide_agrees:
        raise UnservedError(
            f"{path}: the reader {asked} does not turn its pixels ({colours.kind}, alpha "
            f"{colours.alpha}, {colours.bits} bits, {tiff.pages.first.compression!r}) into the "
            "right colours; leave the reader at auto"
        )
    try:
        openslide = OpenSlideReader(local, slide_id)
    except SlideError:
        check_levels(tiff, vendor)  # which OpenSlide may have stumbled over
        raise
    try:
        levels = read_tiff_levels(tiff, vendor, openslide.level_sizes)
    except BaseException:
        openslide.close()
        raise
    openslide.stated_mpp = (*levels.stated_mpp, *openslide.stated_mpp)
    return TiffSlide(openslide, tiff, levels)
