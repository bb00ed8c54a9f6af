"""Open damaged slides in child processes and report what became of each.

A child is a fork that has imported everything, works through numbers until it dies, and is then
replaced. Linux.
"""

import collections
import contextlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.slides.direct.dicom_frames import index_frames, read_image
from histo_ray.slides.direct.direct_reader import DirectReader
from histo_ray.slides.direct.layout import UnrecognisedError
from histo_ray.slides.direct.tiff_layout import find_levels
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.reader import open_slide
from histo_ray.types import Size
from testing.file_damage import damage

CPU_S = 20
"""CPU time of one input from which on it counts as a hang."""
WALL_S = 240
"""Wall time of one input, which may wait for a busy machine."""
ADDRESS_BYTES = 6 * 2**30


class Outcome(NamedTuple):
    """What became of one input."""

    number: int
    word: str
    """`read`, `refused`, the name of an exception, or `died: <signal>`."""
    cpu_s: float = 0.0
    rise_bytes: int = 0

    def is_fault(self, most_bytes: int) -> bool:
        """Whether it is neither pixels nor a slide's error, or took more memory."""
        return self.word not in ("read", "refused") or self.rise_bytes > most_bytes


Target = Callable[[Path], None]
"""Opens a slide and reads it; raises SlideError or UnrecognisedError for what it refuses."""


def read_alone(path: Path) -> None:
    """The direct reader without OpenSlide, which would otherwise check the file first."""
    for vendor in ("aperio", "generic-tiff"):
        with path.open("rb") as file:
            levels = find_levels(file, vendor)
        if not levels:
            raise UnrecognisedError("no level")
        sizes, tiles = [level.size for level in levels], [level.tile for level in levels]
        known = cast(OpenSlideReader, _Unhelpful(vendor, sizes, tiles))
        reader = DirectReader(str(path), known)
        try:
            _read_levels(sizes, lambda corner, level, size, r=reader: r.read(corner, level, size))
        finally:
            reader.close()


def read_by_auto(path: Path) -> None:
    """As a run opens it: OpenSlide, the direct reader, or the reader of plain images."""
    with open_slide(str(path), mpp=0.5) as slide:
        _read_levels(slide.level_sizes, slide.read)


def read_alike(path: Path) -> None:
    """As a run opens it, and by OpenSlide alone: the same pixels, or both refuse.

    OpenSlide is not asked about a DICOM that is not parsed here: its library for DICOM ends the
    process over some whose index is damaged.
    """
    with path.open("rb") as file:
        image = read_image(file)
        if image is not None:
            index_frames(file, image)
    with open_slide(str(path), mpp=0.5) as slide:
        if slide.reader != "direct":
            raise SlideError("slide", f"left to {slide.reader}")
    theirs, ours = _pixels(path, "openslide"), _pixels(path, "direct")
    if (ours is None) != (theirs is None):
        raise UnlikeError("one of them refuses")
    if ours is None or theirs is None:
        raise SlideError("slide", "refused")
    for mine, other in zip(ours, theirs, strict=True):
        if not np.array_equal(mine, other):
            raise UnlikeError("other pixels")


class UnlikeError(Exception):
    """Two readers that should agree do not."""


def _pixels(path: Path, reader: str) -> list[npt.NDArray[np.uint8]] | None:
    """What `_read_levels` reads of a slide; None if it is refused."""
    found: list[npt.NDArray[np.uint8]] = []
    try:
        with open_slide(str(path), mpp=0.5, reader=reader) as slide:
            _read_levels(slide.level_sizes, lambda *region: found.append(slide.read(*region)))
    except SlideError:
        return None
    return found


class _Unhelpful:
    """Stands where OpenSlide would: knows the sizes, and reads nothing."""

    background = (255, 255, 255)
    stated_mpp = ()

    def __init__(self, vendor: str, sizes: Sequence[Size], tiles: Sequence[Size]) -> None:
        self.vendor = vendor
        self.level_sizes, self.tile_sizes = tuple(sizes), tuple(tiles)
        self.downsamples = tuple(float(_times(sizes, width)) for width, _ in sizes)

    def read_into(self, region: npt.NDArray[np.uint8], corner: Any, level: int) -> None:
        raise SlideError("slide", "OpenSlide is not asked")

    def damaged(self, error: Exception) -> SlideError:
        return SlideError("slide", str(error))

    def close(self) -> None:
        pass


def _read_levels(sizes: Sequence[Size], read: Callable[..., Any]) -> None:
    """The first 999 px of each level, and its last corner."""
    for level, (width, height) in enumerate(sizes):
        read((0, 0), level, (min(width, 999), min(height, 999)))
        times = _times(sizes, width)
        corner = ((width - 50) * times, (height - 40) * times)
        read(corner, level, (60, 50))


def _times(sizes: Sequence[Size], width: int) -> int:
    """How often a level is smaller, as a whole number: so regions lie on whole px of it."""
    return max(1, round(sizes[0][0] / max(1, width)))


def fuzz(
    originals: Sequence[bytes], numbers: Iterable[int], target: Target, folder: Path
) -> Iterator[Outcome]:
    """Damage originals by number, and open each in a child under limits.

    Args:
        originals: Intact files; number n damages the one at n modulo their count.
        numbers: Which inputs; may be endless.
        target: What opens them.
        folder: Where a child puts the input that it is at.

    Yields:
        What became of each, in order.
    """
    waiting = iter(numbers)
    context = multiprocessing.get_context("fork")
    for first in waiting:
        ours, theirs = context.Pipe()
        child = context.Process(target=_work, args=(ours, theirs, originals, target, folder))
        child.start()
        theirs.close()
        number: int | None = first
        try:
            while number is not None:
                outcome = _ask(ours, number)
                if outcome is None:
                    break
                yield outcome
                number = next(waiting, None)
        finally:
            ours.close()
            if number is not None and child.is_alive() and not _ended(child):
                child.kill()
            child.join()
        if number is not None:
            yield Outcome(number, f"died: {signal.Signals(-(child.exitcode or -9)).name}")


def _ask(ours: Any, number: int) -> Outcome | None:
    """Wait for the child's reply; None if it died or does not reply."""
    with contextlib.suppress(EOFError, ConnectionError, BrokenPipeError):
        ours.send(number)
        if ours.poll(WALL_S):
            return cast(Outcome, ours.recv())
    return None


def _ended(child: Any) -> bool:
    """Whether it ends by itself in a moment, so that its own signal is seen."""
    child.join(5)
    return not child.is_alive()


def _work(ours: Any, theirs: Any, originals: Sequence[bytes], target: Target, folder: Path) -> None:
    """In a child: one input after the other until there are none."""
    ours.close()  # else the end of the numbers would never be heard
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # libraries talk before they abort
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    path = folder / str(os.getpid()) / "input.svs"  # OpenSlide looks at what lies beside a DICOM
    path.parent.mkdir()
    with contextlib.suppress(EOFError):
        while True:
            number = theirs.recv()
            data = damage(originals[number % len(originals)], number)
            path = path.with_suffix(".svs" if number // len(originals) % 2 else ".tif")
            path.write_bytes(data)
            theirs.send(_try(target, path, number))
            path.unlink()


def _try(target: Target, path: Path, number: int) -> Outcome:
    before, began = _reset_peak(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, CPU_S)  # its signal ends the process
    try:
        target(path)
        word = "read"
    except (SlideError, UnrecognisedError):
        word = "refused"
    except Exception as error:  # noqa: BLE001 - what it is, is the finding
        word = type(error).__name__
    signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(number, word, time.process_time() - began, _status("VmHWM") - before)


def _reset_peak() -> int:
    """Memory held now; the peak is measured from here on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def count_words(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many inputs ended how."""
    return dict(collections.Counter(outcome.word for outcome in outcomes))
