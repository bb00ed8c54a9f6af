"""`--json`: stdout holds one JSON document, whatever plugins and libraries print meanwhile."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

_apart: list[TextIO] = []
"""stdout of the verbs that are at work, the innermost last; no `ContextVar`: threads print, too."""


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
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _apart.pop()


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print the document of a verb to its stdout, at once."""
    print_document(json.dumps(value, indent=indent))


def print_document(text: str) -> None:
    """Print a document that is JSON already."""
    print(text, file=_apart[-1] if _apart else sys.stdout, flush=True)
