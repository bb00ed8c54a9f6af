"""`--json`: stdout holds one JSON document, whatever plugins and libraries print meanwhile."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

_STDOUT, _STDERR = 1, 2
_apart: list[TextIO] = []
"""stdout of the verbs that are at work, the innermost last; no `ContextVar`: threads print, too."""
_descriptors: list[int] = []
"""What descriptor 1 was, while C libraries and processes that are started write to stderr."""


@contextmanager
def keep_results_apart(apart: bool) -> Iterator[None]:
    """Send what is printed to stderr, but for a verb's document.

    Args:
        apart: Whether to do so; False: everything goes where it is printed to.
    """
    if not apart:
        yield
        return
    _apart.append(sys.stdout)
    own = not _descriptors and _descriptor_of(sys.stdout) == _STDOUT
    if own:
        sys.stdout.flush()
        _descriptors.append(os.dup(_STDOUT))
        os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _apart.pop()
        if own:
            stdout = _descriptors.pop()
            os.dup2(stdout, _STDOUT)
            os.close(stdout)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print the document of a verb to its stdout, at once."""
    print_document(json.dumps(value, indent=indent))


def print_document(text: str) -> None:
    """Print a document that is JSON already."""
    stream = _apart[-1] if _apart else sys.stdout
    if not _descriptors:
        print(text, file=stream, flush=True)
        return
    os.dup2(_descriptors[-1], _STDOUT)
    try:
        print(text, file=stream, flush=True)
    finally:
        os.dup2(_STDERR, _STDOUT)


def _descriptor_of(stream: TextIO) -> int | None:
    """Number of the descriptor that a stream writes to; None: it has none."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
