"""Progress on stderr: a bar on a terminal, a line now and then in a log."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from histo_ray.cli.printable import one_line
from histo_ray.extract.run_counts import Counts

LINE_EVERY_S = 15.0
"""Between lines where stderr is not a terminal."""
SILENCE_S = 0.8
"""A verb that has said nothing for so long is said to be at work: the first line comes within a
second."""
LONG_SILENCE_S = 30.0
"""The same later on."""


_COUNT = re.compile(r"(\d+)/(\d+) ")


def died(count: int) -> str:
    """In words that so many processes died."""
    return (
        "1 process died and was replaced"
        if count == 1
        else f"{count} processes died and were replaced"
    )


class _Voice:
    """What is on stderr: when something was last said, the bar, and whether to be quiet."""

    last: float = 0.0
    quiet: bool = False
    bar: "ProgressBar | None" = None
    """The one that is on the terminal."""


_WRITING = threading.RLock()
"""Held while stderr is written: the thread that breaks silence writes, too."""


@contextmanager
def keep_quiet(quiet: bool) -> Iterator[None]:
    """Say no progress meanwhile if `quiet`; problems and errors are printed all the same."""
    before, _Voice.quiet = _Voice.quiet, quiet
    try:
        yield
    finally:
        _Voice.quiet = before


def say(verb: str, text: str) -> None:
    """Write a line of progress on stderr, unless quiet."""
    note(f"{verb}: {one_line(text)}")


def note(line: str) -> None:
    """Write a line on stderr that tells of no problem, above the bar; nothing if quiet."""
    with _WRITING:
        _Voice.last = time.monotonic()
        if _Voice.bar is not None:
            _Voice.bar.clear()
        if not _Voice.quiet:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def break_silence(verb: str) -> Iterator[None]:
    """Say that a verb is at work where it says nothing itself."""
    began = _Voice.last = time.monotonic()
    over = threading.Event()

    def watch() -> None:
        patience = SILENCE_S
        while not over.wait(min(0.5, patience / 4)):
            now = time.monotonic()
            if now - _Voice.last >= patience:
                patience = LONG_SILENCE_S
                say(verb, f"at work for {format_seconds(now - began)}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


class ProgressBar:
    """Shows how far a verb is: a bar on a terminal, a line now and then in a log.

    Usable as a context manager, which takes the bar away at its end.
    """

    def __init__(self, verb: str, tells_ends: bool = False) -> None:
        """Show nothing yet.

        Args:
            verb: What is at work, as lines begin.
            tells_ends: Whether the first report in a log, and whatever ends a count, has a line.
        """
        self._verb, self._tells_ends = verb, tells_ends
        self._bar: Any = None
        self._next_line = time.monotonic() + (0.0 if tells_ends else LINE_EVERY_S)
        self._told = ""
        self._terminal = sys.stderr.isatty() and not _Voice.quiet

    def __enter__(self) -> Self:
        return self

    def show(self, done: int, total: int, text: str) -> None:
        """Show how many units are done, and `text`."""
        ended = self._tells_ends and done == total
        if ended or not self._terminal:
            if (ended or time.monotonic() >= self._next_line) and text != self._told:
                self._next_line = time.monotonic() + LINE_EVERY_S
                self._told = text
                self.say(text)
            return
        with _WRITING:
            self._draw(done, total, text)

    def _draw(self, done: int, total: int, text: str) -> None:
        _Voice.last = time.monotonic()
        if _Voice.bar is not self:
            if _Voice.bar is not None:
                _Voice.bar.clear()
            _Voice.bar = self
        if self._bar is None:
            from tqdm import tqdm  # the first line does not wait for it

            self._bar = tqdm(
                total=total, initial=done, desc=text, leave=False, dynamic_ncols=True,
                bar_format=f"{self._verb}: {{percentage:3.0f}}%|{{bar:20}}| {{desc}}",
            )  # fmt: skip
            return
        self._bar.n, self._bar.total = done, total
        self._bar.set_description_str(text)

    def say(self, text: str) -> None:
        """Say what is done next, in a line of its own."""
        say(self._verb, text)

    def clear(self) -> None:
        """Take the bar from the terminal; the next report draws it anew."""
        with _WRITING:
            if self._bar is not None:
                self._bar.close()
                self._bar = None
            if _Voice.bar is self:
                _Voice.bar = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()


class CountBar(ProgressBar):
    """Shows how many of something are done; use as a context manager."""

    def __init__(self, verb: str, what: str, tells_ends: bool = False) -> None:
        super().__init__(verb, tells_ends)
        self._what = what

    def report(self, done: int, total: int) -> None:
        """Show how far it is."""
        self.show(done, total, f"{done:,}/{total:,} {self._what}")


class LineBar(ProgressBar):
    """Shows lines of progress, those that begin with a count (`3/40 slides`) as a bar.

    Use as a context manager.
    """

    def __init__(self, verb: str) -> None:
        super().__init__(verb, tells_ends=True)

    def tell(self, text: str) -> None:
        """Show a line."""
        found = _COUNT.match(text)
        if found:
            self.show(int(found[1]), int(found[2]), text)
        else:
            self.say(text)


class SlideProgress(ProgressBar):
    """Shows `Counts` of slides; use as a context manager."""

    def __init__(self, verb: str) -> None:
        super().__init__(verb)

    def __enter__(self) -> Self:
        self.say("starting")
        return self

    def report(self, counts: Counts) -> None:
        """Show how far the run is."""
        self.show(counts.slides_done, counts.slides, describe(counts, time.monotonic()))


def describe(counts: Counts, now: float) -> str:
    """Slides, tiles, tiles/s and time left, in words. Pure."""
    parts = [f"{counts.slides_done}/{counts.slides} slides", f"{counts.tiles_encoded} tiles"]
    if counts.slides_failed:
        parts.append(f"{counts.slides_failed} slides failed")
    span = now - counts.encode_began
    if counts.encode_began and counts.tiles_encoded and span > 0:
        rate = counts.tiles_encoded / span
        parts.append(f"{rate:.1f} tiles/s")
        if counts.slides_planned:
            expected = counts.tiles_planned / counts.slides_planned * counts.slides
            left = max(0.0, expected - counts.tiles_encoded) / rate
            parts.append(f"about {format_seconds(left)} left")
    if counts.deaths:
        parts.append(died(counts.deaths))
    return ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """A duration a person reads: 42 s, 12 min, 3 h 20 min."""
    if seconds < 180:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
