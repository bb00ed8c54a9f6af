"""Chooses the reader that serves a slide, and reads a remote one by ranges where it can."""

import importlib
from contextlib import ExitStack
from typing import Protocol, cast

from histo_ray.errors import SlideError
from histo_ray.slides.base import SlideReader, UnservedError
from histo_ray.slides.direct.layout import UnrecognisedError
from histo_ray.slides.direct.remote import stand_in
from histo_ray.slides.registry import AUTO, ReaderEntry, by_priority, find_reader
from histo_ray.slides.slide_file import SlideFile


class ReaderModule(Protocol):
    """What the module of a reader offers."""

    def detect(self, file: SlideFile) -> bool:
        """Whether the reader may serve the file, from its name and first bytes."""

    def open_reader(self, file: SlideFile) -> SlideReader:
        """Open the file.

        Raises:
            SlideError: The slide is damaged; no other reader is asked.
            UnservedError: This reader does not serve the file; another one may.
        """


def load_reader(entry: ReaderEntry) -> ReaderModule:
    """Import the module of a reader."""
    return cast(ReaderModule, importlib.import_module(entry.module))


def open_local(file: SlideFile) -> SlideReader:
    """Open a file with the reader that was named, or with the first that serves it.

    Raises:
        SlideError: Damaged, or the reader asked for, or every reader, does not serve it.
    """
    if file.asked != AUTO:
        try:
            return load_reader(find_reader(file.asked)).open_reader(file)
        except UnservedError as error:
            raise SlideError(file.slide_id, error.problem) from error
    problem = ""
    for entry in by_priority():
        module = load_reader(entry)
        if not module.detect(file):
            continue
        try:
            return module.open_reader(file)
        except UnservedError as error:
            problem = error.problem
    file.refuse_foreign()
    raise SlideError(
        file.slide_id,
        problem
        or f"{file.path}: neither a slide that OpenSlide reads nor a PNG, JPEG or TIFF; check that "
        "this is the right file, or convert it to a pyramidal TIFF",
    )


def open_by_ranges(path: str, slide_id: str, asked: str, stack: ExitStack) -> SlideReader | None:
    """Open a slide in an object store without a copy of it.

    Args:
        path: Local path or URI.
        slide_id: Name in errors.
        asked: `auto` or the name of a reader.
        stack: Given the removal of the stand-in, after the reader is closed.

    Returns:
        The reader; None for a local path, and where a copy is needed.
    """
    entries = [e for e in by_priority() if e.by_ranges and asked in (AUTO, e.name)]
    if "://" not in path or not entries:
        return None
    with ExitStack() as folder, ExitStack() as undo:
        try:
            remote = stand_in(path, folder)
            if remote is None:
                return None
            undo.callback(remote[0].close)
            with SlideFile(str(remote[1].path), path, slide_id, AUTO, remote) as file:
                module = load_reader(entries[0])
                if not module.detect(file):
                    return None
                reader = module.open_reader(file)
        except (UnrecognisedError, UnservedError, SlideError, OSError):
            return None  # a copy will be opened, or say what is wrong
        undo.pop_all()  # the reader closes these itself
        stack.push(folder.pop_all())
        return reader
    raise AssertionError  # an ExitStack without suppressing members never gets here
