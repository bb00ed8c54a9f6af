"""Which back end serves a slide, and how a remote one gets to it."""

from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from histo_ray.errors import SlideError
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.storage.check import explain_here
from histo_ray.storage.trouble import is_remote

if TYPE_CHECKING:
    from histo_ray.slides.openslide_reader import OpenSlideReader
    from histo_ray.slides.reader import SlideReader

_SCANNER_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".svslide", ".mrxs", ".vms", ".vmu")


def open_remotely(path: str, slide_id: str, stack: ExitStack) -> "SlideReader | None":
    """The direct reader of a slide in an object store; None if the slide has to be here."""
    if "://" not in path:
        return None
    from histo_ray.slides.direct.layout import UnrecognisedError
    from histo_ray.slides.direct.reader import DirectReader
    from histo_ray.slides.direct.remote import stand_in
    from histo_ray.slides.openslide_reader import OpenSlideReader

    with ExitStack() as folder, ExitStack() as undo:
        try:
            remote = stand_in(path, folder)
            if remote is None:
                return None
            undo.callback(remote[0].close)
            place = str(remote[1].path)
            known = OpenSlideReader(place, slide_id)
            undo.callback(known.close)
            back_end = DirectReader(place, known, remote=remote)
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
            slide_id,
            f"{path}: {found}, wanted a slide file; check the path and the access rights, "
            "or copy the file again",
        )
    return str(place)


def unread(slide_id: str, path: str, error: OSError) -> SlideError:
    """What to raise for a file that cannot be read at all."""
    if is_remote(error):
        trouble = explain_here(error)
        return SlideError(
            slide_id,
            f"{path}: cannot be read ({trouble.found}), wanted a slide file; {trouble.remedy}",
        )
    return SlideError(
        slide_id,
        f"{path}: cannot be read ({' '.join(str(error).split())}), wanted a slide file; "
        "check the path and the access rights, or copy the file again",
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
    from histo_ray.slides.image_reader import ImageReader, detect_image
    from histo_ray.slides.openslide_reader import OpenSlideReader, detect_vendor

    vendor = detect_vendor(place)
    if reader == "direct" and vendor is None:
        raise _not_direct(slide_id, path, "not a format that OpenSlide knows")
    if vendor is not None and reader in ("auto", "direct"):
        return _open_directly(OpenSlideReader(place, slide_id), place, path, reader)
    if reader == "openslide":
        return OpenSlideReader(place, slide_id)
    suffix = PurePosixPath(path).suffix.lower()
    if reader == "auto" and suffix in _SCANNER_SUFFIXES:
        # A whole one is OpenSlide's. Of a cut one, a first image may be left: not to be trusted.
        raise SlideError(
            slide_id,
            f"{path}: OpenSlide does not know it, wanted an intact {suffix} slide; copy the file "
            "again or leave the slide out",
        )
    if reader == "image" or detect_image(place) is not None:
        return ImageReader(place, slide_id)
    raise SlideError(
        slide_id,
        f"{path}: not a slide that OpenSlide knows, nor a PNG, JPEG or TIFF, wanted one of these; "
        "check that the file is whole, or convert it to a pyramidal TIFF",
    )


def _open_directly(known: "OpenSlideReader", place: str, path: str, reader: str) -> "SlideReader":
    """The direct reader of a slide that OpenSlide has opened; OpenSlide's own if need be."""
    from histo_ray.slides.direct.layout import ImpossibleError, UnrecognisedError
    from histo_ray.slides.direct.reader import DirectReader

    try:
        return DirectReader(place, known)
    except ImpossibleError as error:
        known.close()
        raise SlideError(
            known.slide_id, f"{path}: {error}, wanted an intact slide; copy the file again"
        ) from error
    except (UnrecognisedError, OSError) as error:
        if reader == "auto":
            return known
        known.close()
        raise _not_direct(known.slide_id, path, str(error)) from error


def _not_direct(slide_id: str, path: str, found: str) -> SlideError:
    return SlideError(
        slide_id,
        f"{path}: {found}, wanted a tiled TIFF or SVS of 8-bit RGB or YCbCr JPEG for the direct "
        "reader; leave the reader at auto",
    )
