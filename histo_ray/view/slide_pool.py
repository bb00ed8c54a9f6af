"""Slides that are open at the moment, shared by reader threads."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt

from histo_ray.slides.reader import OpenedSlide
from histo_ray.types import Pyramid, Size

MOST_OPEN = 8
OVERVIEW_PX = 2048
"""Longest side of the overview of a slide without coarse levels."""


class PooledSlide:
    """An open slide and who uses it."""

    def __init__(self, opened: OpenedSlide) -> None:
        self.opened = opened
        self.pyramid: Pyramid = opened.pyramid
        self.users = 0
        self._lock = Lock()

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        """Read a region; see `OpenedSlide.read`."""
        return self.opened.read(corner, level, size)

    @property
    def overview(self) -> npt.NDArray[np.uint8]:
        """The whole slide, (height, width, 3); made once, when it is first asked for."""
        with self._lock:
            return self._overview

    @cached_property
    def _overview(self) -> npt.NDArray[np.uint8]:
        return self.opened.thumbnail(OVERVIEW_PX)


class SlidePool:
    """Opens slides when they are asked for, and closes those that nobody asks for any more."""

    def __init__(self, open_named: Callable[[str], OpenedSlide], most: int = MOST_OPEN) -> None:
        self._open, self._most = open_named, most
        self._slides: OrderedDict[str, PooledSlide] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def borrow(self, slide_id: str) -> Iterator[PooledSlide]:
        """Use a slide; it stays open at least as long.

        Raises:
            SlideError: It cannot be opened.
        """
        slide = self._take(slide_id)
        try:
            yield slide
        finally:
            with self._lock:
                slide.users -= 1
                self._close_idle(self._most)

    def close(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            self._close_idle(0)

    def _take(self, slide_id: str) -> PooledSlide:
        with self._lock:
            slide = self._slides.get(slide_id)
            if slide is not None:
                self._slides.move_to_end(slide_id)
                slide.users += 1
                return slide
        opened = self._open(slide_id)
        with self._lock:
            slide = self._slides.get(slide_id)
            if slide is None:
                slide = self._slides[slide_id] = PooledSlide(opened)
            else:  # another thread was faster
                opened.close()
            slide.users += 1
            return slide

    def _close_idle(self, most: int) -> None:
        idle = [name for name, slide in self._slides.items() if not slide.users]
        for name in idle[: max(0, len(self._slides) - most)]:
            self._slides.pop(name).opened.close()
