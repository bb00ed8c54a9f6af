"""Which back end serves a slide, and how a remote one gets to it."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from histo_ray.errors import SlideError
from histo_ray.slides.chosen_levels import keep_sound_levels
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.storage.check import explain_here
from histo_ray.storage.trouble import is_remote

if TYPE_CHECKING:
    from histo_ray.slides.reader import SlideReader


def open_remotely(path: str, slide_id: str, stack: ExitStack) -> "SlideReader | None":
    """The direct reader of a slide in an object store; None if the slide has to be here."""
    if "://" not in path:
        return None
    from histo_ray.slides.direct.layout import UnrecognisedError
    from histo_ray.slides.direct.remote import stand_in
    from histo_ray.slides.foreign_formats import describe_foreign
    from histo_ray.slides.openslide_reader import detect_vendor
    from histo_ray.slides.tiff_opening import TIFF_VENDORS, open_tiff_slide

    with ExitStack() as folder, ExitStack() as undo:
        try:
            remote = stand_in(path, folder)
            if remote is None:
                return None
            undo.callback(remote[0].close)
            place = str(remote[1].path)
            vendor = detect_vendor(place)
            if vendor not in TIFF_VENDORS or (
                vendor == "generic-tiff"
                and describe_foreign(place, path, allow_scanner_suffix=True)
            ):
                return None
            back_end = open_tiff_slide(place, path, slide_id, (vendor, "direct"), remote)
        except (UnrecognisedError, SlideError, OSError):
            return None  # a copy will be opened, or say what is wrong
        undo.pop_all()  # the reader closes these itself
        stack.push(folder.pop_all())
        return back_end
    raise AssertionError  # an ExitStack without suppressing members never gets here


def bring_slide(path: str, slide_id: str, stack: ExitStack, cache: SlideCache) -> str:
    """Local path of the slide; that of a remote one is good for as long as `stack` is open.

    Raises:
        SlideError: Not there, not to be had, or no file with something in it.
    """
    from histo_ray.slides.local_copy import bring_here

    try:
        place = bring_here(path, stack, cache)
        found = "an empty file" if place.is_file() and not place.stat().st_size else ""
        if not place.is_file():
            found = "a folder" if place.is_dir() else "a pipe or a device"
    except OSError as error:
        raise unread(slide_id, path, error) from error
    if found:
        raise SlideError(
            slide_id, f"{path} is {found}, not a slide file; check the path and the access rights"
        )
    return str(place)


def unread(slide_id: str, path: str, error: OSError) -> SlideError:
    """What to raise for a file that cannot be read at all."""
    if is_remote(error):
        trouble = explain_here(error)
        return SlideError(slide_id, f"{path} cannot be read: {trouble.found}; {trouble.remedy}")
    return SlideError(
        slide_id,
        f"{path} cannot be read: {' '.join(str(error).split())}; check the path and the access "
        "rights",
    )


def open_back_end(place: str, path: str, slide_id: str, reader: str) -> "SlideReader":
    """The back end that serves a local file.

    Args:
        place: Where the file is.
        path: What the user calls it, for messages.
        slide_id: Its name, for messages.
        reader: One of `READERS`.

    Raises:
        SlideError: None of them, or not the one asked for, knows the file.
    """
    from histo_ray.slides.foreign_formats import describe_foreign
    from histo_ray.slides.image_reader import ImageReader, detect_image
    from histo_ray.slides.openslide_reader import OpenSlideReader, detect_vendor
    from histo_ray.slides.tiff_opening import TIFF_VENDORS, not_direct, open_tiff_slide

    vendor = detect_vendor(place)
    generic = vendor == "generic-tiff"
    if vendor is None or generic:
        foreign = describe_foreign(place, path, allow_scanner_suffix=generic or reader != "auto")
    else:
        foreign = ""
    if foreign:
        raise SlideError(slide_id, f"{path}: {foreign}")
    if vendor is not None and reader != "image":
        if vendor in TIFF_VENDORS:
            return open_tiff_slide(place, path, slide_id, (vendor, reader))
        if reader == "direct":
            raise not_direct(slide_id, path, f"it is of the format {vendor}")
        return keep_sound_levels(OpenSlideReader(place, slide_id))
    if reader == "direct":
        raise not_direct(slide_id, path, "OpenSlide does not know its format")
    if reader == "openslide":
        return OpenSlideReader(place, slide_id)
    if reader == "image" or detect_image(place) is not None:
        return ImageReader(place, slide_id)
    raise SlideError(
        slide_id,
        f"{path}: neither a slide that OpenSlide reads nor a PNG, JPEG or TIFF; check that this is "
        "the right file, or convert it to a pyramidal TIFF",
    )
