"""Opens slides whose JPEG tiles are decoded here: the reader `direct` of the registry."""

from histo_ray.errors import SlideError
from histo_ray.slides.base import SlideReader, UnservedError
from histo_ray.slides.direct.direct_reader import DirectReader
from histo_ray.slides.direct.tiff_layout import ImpossibleError, UnrecognisedError
from histo_ray.slides.slide_file import SlideFile
from histo_ray.slides.sound_level_reader import keep_sound_levels
from histo_ray.slides.tiff_slide import TIFF_VENDORS


def detect(file: SlideFile) -> bool:
    """Whether the file is a TIFF or SVS, as OpenSlide sees it."""
    return file.vendor in TIFF_VENDORS and not file.foreign


def open_reader(file: SlideFile) -> SlideReader:
    """Open a tiled TIFF or SVS of 8-bit RGB or YCbCr JPEG that is understood completely.

    Raises:
        SlideError: Damaged, or what its pixels mean is not known.
        UnservedError: It is something else.
    """
    file.refuse_foreign()
    if file.vendor is None:
        raise _unserved(file.path, "OpenSlide does not know its format")
    if file.vendor not in TIFF_VENDORS:
        raise _unserved(file.path, f"it is of the format {file.vendor}")
    slide = file.tiff
    try:
        reader = DirectReader(file.local, slide.openslide, remote=file.remote, tiff=slide.tiff)
    except ImpossibleError as error:
        raise SlideError(
            file.slide_id,
            f"{file.path} is damaged: {error}; copy the file again, or leave the slide out",
        ) from error
    except (UnrecognisedError, OSError) as error:
        raise _unserved(file.path, str(error)) from error
    slide.take_openslide()
    return keep_sound_levels(reader, slide.levels.unsound, slide.levels.beside)


def _unserved(path: str, found: str) -> UnservedError:
    return UnservedError(
        f"{path}: {found}, and the direct reader takes only tiled TIFF and SVS of 8-bit RGB or "
        "YCbCr JPEG; leave the reader at auto"
    )
