"""The log of slides: a file or stderr gets a line of JSON for each slide of a run."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histo_ray.errors import ConfigError
from histo_ray.extract.observer import slide_log


@contextmanager
def log_slides(target: str | None) -> Iterator[None]:
    """Write them to a file, which is appended to, or to stderr.

    Args:
        target: Path; `-`: stderr; None: nowhere.

    Raises:
        ConfigError: The file cannot be written.
    """
    if target is None:
        yield
        return
    handler: logging.Handler
    if target == "-":
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            handler = logging.FileHandler(Path(target).expanduser(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"--log {target}: cannot be written ({error.strerror}); name a file in a folder "
                "that is there, or - for stderr"
            ) from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagate = slide_log.level, slide_log.propagate
    slide_log.addHandler(handler)
    slide_log.setLevel(logging.INFO)
    slide_log.propagate = False
    try:
        yield
    finally:
        slide_log.removeHandler(handler)
        slide_log.setLevel(level)
        slide_log.propagate = propagate
        handler.close()
