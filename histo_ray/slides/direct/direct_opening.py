"""Opens slides whose JPEG tiles are decoded here: the reader `direct` of the registry."""

import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.base import SlideReader, UnservedError
from histo_ray.slides.direct.direct_reader import DirectReader
from histo_ray.slides.direct.first_look import find_difference
from histo_ray.slides.direct.formats import LAYOUTS
from histo_ray.slides.direct.layout import ImpossibleError, UnrecognisedError
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.slide_file import SlideFile
from histo_ray.slides.sound_level_reader import keep_sound_levels
from histo_ray.slides.tiff_slide import TIFF_VENDORS


def detect(file: SlideFile) -> bool:
    """Whether the file is of a format whose JPEG tiles can be found, as OpenSlide sees it."""
    if file.vendor in LAYOUTS:
        return file.remote is None
    return file.vendor in TIFF_VENDORS and not file.foreign


def open_reader(file: SlideFile) -> SlideReader:
    """Open a slide of 8-bit RGB or YCbCr JPEG tiles that is understood completely.

    Raises:
        SlideError: Damaged, or what its pixels mean is not known.
        UnservedError: It is something else.
    """
    file.refuse_foreign()
    if file.vendor is None:
        raise _unserved(file.path, "OpenSlide does not know its format")
    if file.vendor in LAYOUTS:
        return _open_vendor(file)
    if file.vendor not in TIFF_VENDORS:
        raise _unserved(file.path, f"it is of the format {file.vendor}")
    slide = file.tiff
    reader = _take_over(file, slide.openslide, slide.tiff)
    slide.take_openslide()
    return keep_sound_levels(reader, slide.levels.unsound, slide.levels.beside)


def _open_vendor(file: SlideFile) -> SlideReader:
    """Open a slide of a maker's own format."""
    known = OpenSlideReader(file.local, file.slide_id)
    try:
        reader = _take_over(file, known, None)
    except BaseException:
        known.close()
        raise
    different = find_difference(reader, known)
    if different:
        reader.close()
        raise _unserved(file.path, different)
    return keep_sound_levels(reader)


def _take_over(
    file: SlideFile, known: OpenSlideReader, tiff: tifffile.TiffFile | None
) -> DirectReader:
    """Read a slide that OpenSlide has opened."""
    try:
        return DirectReader(file.local, known, remote=file.remote, tiff=tiff)
    except ImpossibleError as error:
        raise SlideError(
            file.slide_id,
            f"{file.path} is damaged: {error}; copy the file again, or leave the slide out",
        ) from error
    except (UnrecognisedError, OSError) as error:
        raise _unserved(file.path, str(error)) from error


def _unserved(path: str, found: str) -> UnservedError:
    return UnservedError(
        f"{path}: {found}, and the direct reader takes only tiles of 8-bit RGB or YCbCr JPEG in "
        "formats that it knows; leave the reader at auto"
    )
