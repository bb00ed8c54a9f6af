"""Reading partitions that another run may replace meanwhile: all of an old one, or all of a new.

A partition as Parquet is one file, which is read through one handle. A Zarr partition is a folder
of files, and a pooled table is made of many partitions: they are read again where they were
replaced before the last of them was read.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from histo_ray.errors import StoreError
from histo_ray.store.layout import Form
from histo_ray.store.location import ROOT_FILE, Location, Stamp

TRIES = 8
"""So often something is read that is replaced each time before it is read to its end."""
_FIRST_PAUSE_S = 0.01

P = ParamSpec("P")
T = TypeVar("T")


class ReplacedError(StoreError):
    """What was read was replaced or removed by another run before it was read to its end."""


def look_at(location: Location, form: Form) -> Stamp | None:
    """How the file or folder of a partition looks; no two versions look the same."""
    return (location if form == "parquet" else location.child(ROOT_FILE)).stamp()


@contextmanager
def unreplaced(path: str, look: Callable[[], object], seen: object = None) -> Iterator[None]:
    """Read within this, and be sure that all of it is of one version.

    Args:
        path: What is read, for the message.
        look: Says how it looks now; two versions never look the same.
        seen: How it looked when reading began; None: as it looks now.

    Raises:
        ReplacedError: It looks otherwise afterwards, whatever reading it gave or raised.
    """
    before = look() if seen is None else seen
    try:
        yield
    except StoreError as error:
        if look() != before:
            raise replaced(path) from error
        raise
    if look() != before:
        raise replaced(path)


def read_again(read: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that reads: it is called again while it raises `ReplacedError`.

    Raises:
        ReplacedError: It did so `TRIES` times.
    """

    @functools.wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        pause_s = _FIRST_PAUSE_S
        for _ in range(TRIES - 1):
            try:
                return read(*args, **kwargs)
            except ReplacedError:
                time.sleep(pause_s)
                pause_s *= 2
        return read(*args, **kwargs)

    return reading


def removed(path: str) -> ReplacedError:
    """The error of a partition that was listed, and is not there when it is opened."""
    return ReplacedError(
        f"{path}: not readable, as it is not there any more: another run has removed or replaced "
        "it; run the command again, and where that says the same, store verify"
    )


def replaced(path: str) -> ReplacedError:
    """The error of a partition that became another one while it was read."""
    return ReplacedError(
        f"{path}: another run replaced it while it was read; run the command again, best when that "
        "run has ended"
    )
