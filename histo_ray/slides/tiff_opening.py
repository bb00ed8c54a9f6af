"""Opens the TIFFs that OpenSlide takes, after it is settled what they mean."""

from typing import TYPE_CHECKING

import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.chosen_levels import keep_sound_levels
from histo_ray.slides.direct.layout import ImpossibleError, UnrecognisedError
from histo_ray.slides.direct.reader import DirectReader
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.slide_tiff import SlideTiff, check_levels, read_slide_tiff
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_meaning import MeaningError, check_images, read_colours

if TYPE_CHECKING:
    from histo_ray.slides.direct.source import ByteSource, StandIn
    from histo_ray.slides.reader import SlideReader

TIFF_VENDORS = ("aperio", "generic-tiff")
"""OpenSlide's formats whose TIFF says all there is; it knows more of the others than their tags."""


def open_tiff_slide(
    place: str,
    path: str,
    slide_id: str,
    kind: tuple[str, str],
    remote: "tuple[ByteSource, StandIn] | None" = None,
) -> "SlideReader":
    """The back end of a TIFF or SVS that OpenSlide recognises.

    Args:
        place: Where the file is.
        path: What the user calls it, for messages.
        slide_id: Its name, for messages.
        kind: OpenSlide's name for the format, one of `TIFF_VENDORS`; and `auto`, `direct` or
            `openslide`, the reader asked for.
        remote: Where the tiles are if `place` is a stand-in, and that stand-in.

    Raises:
        SlideError: Damaged, or what its pixels mean is not known.
    """
    vendor, reader = kind
    try:
        with tifffile.TiffFile(place) as tiff:
            return _open_parsed(tiff, place, path, slide_id, kind, remote)
    except MeaningError as error:
        raise SlideError(slide_id, f"{path}: {error}") from error
    except ImpossibleError as error:
        raise SlideError(
            slide_id, f"{path} is damaged: {error}; copy the file again, or leave the slide out"
        ) from error
    except (*DAMAGE, MemoryError) as error:
        if vendor == "aperio" and reader != "direct":
            return keep_sound_levels(OpenSlideReader(place, slide_id))
        raise SlideError(
            slide_id,
            f"{path} is a damaged TIFF ({' '.join(str(error).split())}); copy the file again, or "
            "leave the slide out",
        ) from error


def _open_parsed(
    tiff: tifffile.TiffFile,
    place: str,
    path: str,
    slide_id: str,
    kind: tuple[str, str],
    remote: "tuple[ByteSource, StandIn] | None",
) -> "SlideReader":
    vendor, reader = kind
    tiff.pages.cache = True  # they are gone through several times
    colours = read_colours(
        check_images(tiff, tiled_only=vendor == "aperio")
    )  # before OpenSlide, whose reason may be another
    if vendor == "generic-tiff" and not colours.openslide_agrees:
        if reader == "auto":
            from histo_ray.slides.image_reader import ImageReader

            return ImageReader(place, slide_id)
        raise MeaningError(
            f"the reader {reader} does not turn its pixels ({colours.kind}, alpha "
            f"{colours.alpha}, {colours.bits} bits, {tiff.pages.first.compression!r}) into the "
            "right colours; leave the reader at auto"
        )
    try:
        known = OpenSlideReader(place, slide_id)
    except SlideError:
        check_levels(tiff, vendor)  # which OpenSlide may have stumbled over
        raise
    try:
        meaning = read_slide_tiff(tiff, vendor, known.level_sizes)
        known.stated_mpp = (*meaning.stated_mpp, *known.stated_mpp)
        back_end = _open_directly(known, tiff, path, reader, remote)
    except BaseException:
        known.close()
        raise
    return _with_levels(back_end, meaning)


def _with_levels(back_end: "SlideReader", meaning: SlideTiff) -> "SlideReader":
    return keep_sound_levels(back_end, meaning.unsound, meaning.beside)


def _open_directly(
    known: OpenSlideReader,
    tiff: tifffile.TiffFile,
    path: str,
    reader: str,
    remote: "tuple[ByteSource, StandIn] | None",
) -> "SlideReader":
    """The direct reader of a slide that OpenSlide has opened; OpenSlide's own if need be."""
    if reader == "openslide":
        return known
    try:
        return DirectReader(known.path, known, remote=remote, tiff=tiff)
    except ImpossibleError:
        raise
    except (UnrecognisedError, OSError) as error:
        if reader == "auto":
            return known
        raise not_direct(known.slide_id, path, str(error)) from error


def not_direct(slide_id: str, path: str, found: str) -> SlideError:
    """What to raise for a slide that the direct reader is asked for and does not take."""
    return SlideError(
        slide_id,
        f"{path}: {found}, and the direct reader takes only tiled TIFF and SVS of 8-bit RGB or "
        "YCbCr JPEG; leave the reader at auto",
    )
