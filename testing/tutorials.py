"""Code blocks of Markdown pages, and their execution in one folder a page."""

import io
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from histo_ray.cli.main import main

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAM = "histo-ray "
_OR_TRUE = " || true"
_HERE = {
    "evaluate": ["--address", "none"],
    "extract": ["--address", "none"],
    "fit": ["--address", "none"],
}
"""Flags of verbs that keep their work in this process, so that no Ray is started for small work."""


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    code: str


def read_blocks(page: Path) -> list[Block]:
    """Read the fenced blocks of a page, in their order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def run_page(page: Path, *, by_shell: bool) -> None:
    """Run the blocks of `python` and `bash` of a page in the current folder.

    Blocks of Python share their names, as in a notebook. A block of `text` shows lines that the
    block before it prints, in their order; others may stand between them, and spaces do not count.

    Args:
        page: Of Markdown.
        by_shell: Whether each block of `bash` is run by bash, with the program as a process of its
            own; else lines that are nothing but a call of the program are called here.

    Raises:
        AssertionError: A block failed.
    """
    names: dict[str, Any] = {"__name__": "tutorial"}
    printed = ""
    for block in read_blocks(page):
        if block.language == "python":
            with redirect_stdout(io.StringIO()) as told:
                exec(compile(block.code, f"{page.name}", "exec"), names)
            printed = told.getvalue()
        elif block.language == "bash":
            printed = (_run_by_shell if by_shell else _run_here)(block.code)
        elif block.language == "text":
            lost = find_missing_line(block.code, printed)
            assert lost is None, f"{page.name}: {lost!r} was not printed, but\n{printed}"


def find_missing_line(shown: str, printed: str) -> str | None:
    """Find the first line of a page that was not printed after those before it; None: all were.

    Args:
        shown: Lines of the page; `...` stands for anything.
        printed: By the block before.
    """
    there = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in filter(None, (" ".join(line.split()) for line in shown.splitlines())):
        pattern = re.escape(line).replace(re.escape("..."), ".*")
        if not any(re.fullmatch(pattern, one) for one in there):
            return line
    return None


def _run_here(code: str) -> str:
    lines = code.strip().splitlines()
    if not all(line.startswith(_PROGRAM) for line in lines):
        return _run_by_shell(code)
    with redirect_stdout(io.StringIO()) as told:
        for line in lines:
            _call(line)
    return told.getvalue()


def _call(line: str) -> None:
    called = shlex.split(line.removesuffix(_OR_TRUE))[1:]
    status = main([*called, *_HERE.get(called[0], ())])
    assert status == 0 or (status == 1 and line.endswith(_OR_TRUE)), f"{line}: {status}"


def _run_by_shell(code: str) -> str:
    places = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        env={"PATH": places, "PYTHONPATH": root, "HOME": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout
