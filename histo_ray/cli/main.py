"""Verbs of `histo-ray`. Each verb's module is imported only when it is called for."""

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from histo_ray._version import __version__
from histo_ray.cli.edge import run_at_edge
from histo_ray.cli.printable import one_line
from histo_ray.errors import ClusterLostError, HistoRayError

VERBS = {
    "demo": "the main job on embedded synthetic slides, offline, on this machine",
    "plan": "dry run of an extraction: tiles, lost slides and why, bytes, time",
    "extract": "manifest + encoders -> feature store",
    "finetune": "labelled tiles -> a new encoder, published into the store",
    "evaluate": "tissue | expression | mutation: encoders compared by honest cross-validation",
    "report": "one HTML page of what the evaluations in a store found, readable offline",
    "encoders": "list the encoders that have an entry, with their tile contracts",
    "store": "ls | verify | sql | export | gc",
    "runs": "list what past runs did: slides lost, tiles/s, bottleneck, and what to change",
    "doctor": "can this machine or cluster run: Ray, GPU, OpenSlide, disk, weights",
}
OBJECTS_PER_COLLECTION = 200_000
"""While a store is looked at: imports and listings make many objects that stay, and Python would
walk them all again and again. Runs do not get it: garbage may hold Ray's memory."""
DONE, SOME_FAILED, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130


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
    return run_at_edge(lambda: _run(sys.argv[1:], is_program=True))


def run_job(*verbs: str) -> int:
    """Run a verb as a job file does: the first argument may be the run file.

    Returns:
        The verb's exit code.
    """
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--config")
    return run_at_edge(lambda: _run([*verbs, *arguments], is_program=True))


class _Parser(argparse.ArgumentParser):
    """Flags in full only, as keys of a run file are; what is wrong with them in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Say it and end with 2."""
        self.exit(NOT_STARTED, f"{self.prog}: {one_line(message)}; {self.prog} --help lists all\n")


def _run(arguments: Sequence[str], is_program: bool) -> int:
    parser = _Parser(
        prog="histo-ray",
        description="Whole-slide images in, queryable per-model feature stores out, on Ray.",
    )
    parser.add_argument("--version", action="version", version=f"histo-ray {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, text in VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text)
        if verb in arguments[:1]:
            importlib.import_module(f"histo_ray.cli.{verb}").add_arguments(sub)
    args = parser.parse_args(arguments)
    if is_program and args.verb == "store":
        gc.set_threshold(OBJECTS_PER_COLLECTION)
    if is_program and getattr(args, "trains", False):
        from histo_ray.encoders.heap import restart_keeping_memory

        restart_keeping_memory()
    try:
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
