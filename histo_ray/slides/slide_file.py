"""A slide's file on its way to a reader. What several readers ask of it is found out once."""

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Self

from histo_ray.errors import SlideError
from histo_ray.slides.base import UnservedError
from histo_ray.slides.direct.source import ByteSource, StandIn
from histo_ray.slides.openslide_reader import detect_vendor
from histo_ray.slides.registry import AUTO
from histo_ray.slides.tiff_slide import GENERIC, TiffSlide, open_tiff_slide
from histo_ray.slides.unread_formats import describe_foreign


class SlideFile:
    """A local file, or the stand-in of a remote one, that readers are asked to open."""

    def __init__(
        self,
        local: str,
        path: str,
        slide_id: str,
        asked: str = AUTO,
        remote: tuple[ByteSource, StandIn] | None = None,
    ) -> None:
        """Note the file; it is not opened.

        Args:
            local: Where the file is.
            path: What the user calls it: its suffix counts, and messages name it.
            slide_id: The slide's id, for messages.
            asked: `auto`, or the name of the reader asked for.
            remote: Where the tiles are if `local` is a stand-in, and that stand-in.
        """
        self.local = local
        self.path = path
        self.slide_id = slide_id
        self.asked = asked
        self.remote = remote
        self._opened = ExitStack()
        self._unserved: UnservedError | None = None

    @cached_property
    def vendor(self) -> str | None:
        """OpenSlide's name for the format; None if it knows none."""
        return detect_vendor(self.local)

    @cached_property
    def foreign(self) -> str:
        """Which format it is that no reader of this package reads, and what to do; else empty."""
        if self.vendor not in (None, GENERIC):
            return ""
        named = self.vendor == GENERIC or self.asked != AUTO
        return describe_foreign(self.local, self.path, allow_scanner_suffix=named)

    def refuse_foreign(self) -> None:
        """Raise for a format that is known and not read.

        Raises:
            SlideError: It is one.
        """
        if self.foreign:
            raise SlideError(self.slide_id, f"{self.path}: {self.foreign}")

    @property
    def tiff(self) -> TiffSlide:
        """The file as a TIFF that OpenSlide has opened; parsed once.

        Raises:
            SlideError: Damaged, or what its pixels mean is not known.
            UnservedError: OpenSlide does not read it right, or tifffile does not parse it.
        """
        if self._unserved is not None:
            raise self._unserved
        return self._tiff

    @cached_property
    def _tiff(self) -> TiffSlide:
        try:
            return open_tiff_slide(
                self.local, self.path, (self.slide_id, self.vendor or "", self.asked), self._opened
            )
        except UnservedError as error:
            self._unserved = error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened and not taken over by a reader."""
        self._opened.close()
