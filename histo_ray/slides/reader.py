"""Opens a slide. Several readers serve one protocol; callers see `OpenedSlide` only."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.slides.base import SlideReader
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.slides.local_copy import bring_slide, unread
from histo_ray.slides.overview import shrink_slide
from histo_ray.slides.reader_choice import open_by_ranges, open_local
from histo_ray.slides.registry import check_reader_name
from histo_ray.slides.resolution import (
    GREATEST_MPP,
    LEAST_MPP,
    StatedMpp,
    choose_mpp,
    describe_conflict,
)
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.slides.slide_file import SlideFile
from histo_ray.types import Mpp, MppSource, Pyramid, Size

MOST_SLIDE_PX = 2**42
"""Ten times the largest slide there is, at the finest resolution; more is made up."""


class OpenedSlide:
    """A slide open for reading. A context manager; see `open_slide`.

    Threads may share one; processes may not.
    """

    def __init__(
        self, reader: SlideReader, pyramid: Pyramid, local: str, on_close: ExitStack
    ) -> None:
        self._reader = reader
        self._local = local
        self._on_close = on_close
        self.pyramid = pyramid

    @property
    def slide_id(self) -> str:
        """The slide's id."""
        return self.pyramid.slide_id

    @property
    def size(self) -> Size:
        """(width, height) of level 0."""
        return self.pyramid.size

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        """(width, height) of each level in that level's px."""
        return self.pyramid.level_sizes

    @property
    def mpp(self) -> Mpp:
        """(x, y) microns per px of level 0."""
        return self.pyramid.mpp

    @property
    def mpp_source(self) -> MppSource:
        """Where the mpp came from; the order is that of `resolution.choose_mpp`."""
        return self.pyramid.mpp_source

    @property
    def reader(self) -> str:
        """Name of the reader that serves the slide: `direct`, `openslide`, `image`, ..."""
        return self._reader.name

    @property
    def vendor(self) -> str:
        """Maker of the format as OpenSlide names it, or `png`, `jpeg`, `tiff`."""
        return self._reader.vendor

    @property
    def background(self) -> tuple[int, int, int]:
        """RGB that missing and transparent regions are read as."""
        return self._reader.background

    @property
    def levels_left_out(self) -> tuple[str, ...]:
        """A sentence on each level of the file that is not used, with the reason."""
        return self._reader.levels_left_out

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the file's size and both ends: see `fingerprint_file`.

        Raises:
            SlideError: The file cannot be read any more.
        """
        try:
            return fingerprint_file(self._local)
        except OSError as error:
            raise unread(self.slide_id, self._local, error) from error

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        """Read a region.

        Args:
            corner: (x, y) of its top-left corner in level-0 px; may lie outside the slide.
            level: Level to read.
            size: (width, height) in px of that level.

        Returns:
            (height, width, 3) uint8 RGB; what is missing has the background colour.

        Raises:
            SlideError: The file is damaged there.
        """
        self._check_level(level)
        x, y = corner
        return self._reader.read((int(x), int(y)), level, size)

    def read_into(self, region: npt.NDArray[np.uint8], corner: tuple[int, int], level: int) -> None:
        """Read a region into memory that is there; see `read`.

        Args:
            region: (height, width, 3) uint8, overwritten; its size is the size read.
            corner: (x, y) of its top-left corner in level-0 px; may lie outside the slide.
            level: Level to read.

        Raises:
            SlideError: The file is damaged there.
        """
        self._check_level(level)
        x, y = corner
        self._reader.read_into(region, (int(x), int(y)), level)

    def _check_level(self, level: int) -> None:
        if not 0 <= level < len(self.level_sizes):
            raise IndexError(f"level {level} of a slide with {len(self.level_sizes)} levels")

    def thumbnail(self, max_px: int) -> npt.NDArray[np.uint8]:
        """The whole slide, area-averaged, its longer side `max_px` (or the slide's, if shorter)."""
        width, height = self.size
        scale = min(1.0, max_px / max(width, height))
        return shrink_slide(self, (max(1, round(width * scale)), max(1, round(height * scale))))

    def close(self) -> None:
        """Release the file and what was copied for it."""
        self._on_close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_slide(
    path: str,
    *,
    slide_id: str | None = None,
    mpp: float | None = None,
    fallback_mpp: float | None = None,
    reader: str = "auto",
    cache: SlideCache | None = None,
) -> OpenedSlide:
    """Open a slide: all that OpenSlide opens, and plain PNG, JPEG and TIFF images.

    Args:
        path: Local path or URI. A remote slide that the direct reader takes is read by ranges;
            any other is brought to this machine's disk, into `cache`.
        slide_id: Name in errors and results (default: the file's name without extension).
        mpp: Microns per px of both axes; overrides the file (the manifest's mpp).
        fallback_mpp: Microns per px if neither `mpp` nor the file gives it (--slide-mpp).
        reader: `auto`: the first of the registry that serves the file: direct if it is a tiled
            JPEG TIFF or SVS that is understood completely, else OpenSlide if it knows the file,
            else a plain image; or one of them by name.
        cache: Where remote slides are kept that must be here (default: see `SlideCache`).

    Raises:
        SlideError: Not there, not a slide, damaged, or without a known resolution.
        ConfigError: No such reader.
    """
    check_reader_name(reader)
    name = slide_id if slide_id is not None else PurePosixPath(str(path)).stem
    with ExitStack() as stack:
        local = str(path)
        opened = open_by_ranges(local, name, reader, stack)
        if opened is None:
            local = bring_slide(str(path), name, stack, cache or SlideCache())
            with SlideFile(local, str(path), name, reader) as file:
                opened = open_local(file)
        stack.callback(opened.close)
        width, height = opened.level_sizes[0]
        if not 0 < width * height <= MOST_SLIDE_PX:
            raise SlideError(
                name,
                f"{path} states {width} x {height} px, more than any slide has: its header is "
                "damaged; copy the file again, or leave the slide out",
            )
        resolution = _find_mpp(name, mpp, opened.stated_mpp, fallback_mpp)
        pyramid = Pyramid(name, *resolution, opened.level_sizes)
        return OpenedSlide(opened, pyramid, local, stack.pop_all())
    raise AssertionError  # an ExitStack without suppressing members never gets here


def _find_mpp(
    slide_id: str, given: float | None, stated: tuple[StatedMpp, ...], fallback: float | None
) -> tuple[Mpp, MppSource]:
    """The resolution of level 0 and its source.

    Raises:
        SlideError: There is none, or the file contradicts itself and none was given.
    """
    chosen = choose_mpp(given, stated, fallback)
    conflict = describe_conflict(stated) if given is None else ""
    if conflict:
        raise SlideError(slide_id, conflict)
    if chosen is None:
        raise SlideError(slide_id, _no_mpp(stated))
    return chosen


def _no_mpp(stated: tuple[StatedMpp, ...]) -> str:
    """Message for a slide of unknown resolution, with what the file states."""
    implausible = dict.fromkeys(
        f"{statement.source} says {value:g}"
        for statement in stated
        for value in (statement.x, statement.y)
        if value is not None
    )
    found = "the file states no resolution (mpp)"
    if implausible:
        found = (
            f"the file states no usable resolution ({', '.join(implausible)}; slides have "
            f"{LEAST_MPP:g} to {GREATEST_MPP:g} microns per pixel)"
        )
    return f"{found}; give it in the manifest column mpp, or with --slide-mpp"
