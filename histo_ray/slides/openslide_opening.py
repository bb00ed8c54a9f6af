"""Opens slides with OpenSlide: the reader `openslide` of the registry."""

from histo_ray.slides.base import SlideReader
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.slide_file import SlideFile
from histo_ray.slides.sound_level_reader import keep_sound_levels
from histo_ray.slides.tiff_slide import TIFF_VENDORS, UnparsedTiffError


def detect(file: SlideFile) -> bool:
    """Whether OpenSlide recognises the file."""
    return file.vendor is not None and not file.foreign


def open_reader(file: SlideFile) -> SlideReader:
    """Open a slide, without the levels that are no reduced images of it.

    Raises:
        SlideError: Damaged, of a known format that is not read, or not known to OpenSlide.
        UnservedError: OpenSlide turns the pixels of this TIFF into other colours.
    """
    file.refuse_foreign()
    if file.vendor in TIFF_VENDORS:
        try:
            tiff = file.tiff
        except UnparsedTiffError:
            pass  # OpenSlide may be less strict
        else:
            levels = tiff.levels
            return keep_sound_levels(tiff.take_openslide(), levels.unsound, levels.beside)
    return keep_sound_levels(OpenSlideReader(file.local, file.slide_id))
