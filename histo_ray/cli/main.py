"""The program: which verb runs, and how it ends. Only the module of that verb is imported."""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

from histo_ray._version import __version__
from histo_ray.cli.edge import leave, run_at_edge
from histo_ray.cli.exit_codes import DONE, INTERRUPTED, NOT_STARTED, SOME_FAILED
from histo_ray.cli.json_results import keep_results_apart
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import break_silence, keep_quiet
from histo_ray.cli.quiet_flag import add_quiet
from histo_ray.cli.verbs import VERBS
from histo_ray.deferred import deferred
from histo_ray.errors import ClusterLostError, HistoRayError
from histo_ray.text import did_you_mean, join_or

__all__ = ["DONE", "INTERRUPTED", "NOT_STARTED", "SOME_FAILED", "main", "run_job"]
OBJECTS_PER_COLLECTION = 200_000
"""Threshold of the garbage collector for `store`: imports and listings make many objects that
stay, and Python would traverse them again and again. Runs keep the default, as garbage may hold
Ray's memory."""
restart_keeping_memory = deferred("histo_ray.encoders.heap:restart_keeping_memory")
keep_memory = deferred("histo_ray.encoders.heap:keep_memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: Its name and flags; None: this program's own.

    Returns:
        0 all done; 1 done, but some slides failed (they are listed); 2 could not start;
        130 interrupted.
    """
    if argv is not None:
        return _run(argv, is_program=False)
    return leave(run_at_edge(lambda: _run(sys.argv[1:], is_program=True)))


def run_job(*verbs: str) -> int:
    """Run a verb as a job file does: the first argument may be the run file.

    Returns:
        The verb's exit code.
    """
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--config")
    return leave(run_at_edge(lambda: _run([*verbs, *arguments], is_program=True)))


class _Parser(argparse.ArgumentParser):
    """A parser that takes flags in full only and reports an error in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})
        self.set_defaults(parser=self)  # a verb's wins over the program's, its action's over both

    def error(self, message: str) -> NoReturn:
        """Print `message` in one line and exit with code 2."""
        text = one_line(message)
        text += " See" if text.endswith("?") else "; see"
        self.exit(NOT_STARTED, f"{self.prog}: {text} {self.prog} --help\n")

    def refuse_unknown(self, unknown: Sequence[str]) -> NoReturn:
        """Report unknown flags and arguments, with similar ones that exist."""
        flags = [text.partition("=")[0] for text in unknown if text.startswith("-")]
        known = [name for action in self._actions for name in action.option_strings]
        if flags:
            problems = [f"unknown flag {flag}{did_you_mean(flag, known)}" for flag in flags]
        else:
            problems = [f"unexpected argument {text!r}" for text in unknown]
        self.error("; ".join(problems))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Report an invalid choice with the valid and similar ones; called by argparse."""
        if action.choices is None or value in action.choices:
            return
        names = [str(name) for name in action.choices]
        near = did_you_mean(str(value), names)
        if action.option_strings:
            self.error(f"{action.option_strings[0]} {value}: must be {join_or(names)}{near}")
        what = str(action.metavar or action.dest).lower()
        self.error(f"there is no {what} {value!r}, but {', '.join(names)}{near}")


def make_parser(verb: str = "") -> argparse.ArgumentParser:
    """Make the program's parser.

    Args:
        verb: The one whose flags are added; others are there by name.
    """
    parser = _Parser(
        prog="histo-ray",
        description="Whole-slide images in, queryable per-model feature stores out, on Ray.",
    )
    parser.add_argument("--version", action="version", version=f"histo-ray {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, one in VERBS.items():
        sub = verbs.add_parser(name, help=one.help, description=one.help)
        if name == verb:
            importlib.import_module(one.module).add_arguments(sub)
            add_quiet(sub)
    return parser


def _run(arguments: Sequence[str], is_program: bool) -> int:
    parser = make_parser(arguments[0] if arguments else "")
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        args.parser.refuse_unknown(unknown)
    if is_program and args.verb == "store":
        gc.set_threshold(OBJECTS_PER_COLLECTION)
    if is_program and getattr(args, "trains", False):
        restart_keeping_memory()
    if is_program and getattr(args, "encodes", False):
        keep_memory()
    try:
        unwatched = not is_program or getattr(args, "waits", False)
        watch = nullcontext() if unwatched else break_silence(args.parser.prog.partition(" ")[2])
        apart = keep_results_apart(getattr(args, "json", False))
        with keep_quiet(args.quiet), watch, apart:
            code: int = args.run(args)
            sys.stdout.flush()
    except HistoRayError as error:
        print(f"histo-ray {args.verb}: {one_line(str(error))}", file=sys.stderr, flush=True)
        if is_program and isinstance(error, ClusterLostError):
            os._exit(NOT_STARTED)  # Ray would wait for its head, then choose another code
        return NOT_STARTED
    except KeyboardInterrupt:
        print(f"histo-ray {args.verb}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code
