"""Verb `histo-ray demo`."""

import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

from histo_ray.cli.json_results import print_json
from histo_ray.cli.progress import note
from histo_ray.deferred import deferred

run_demo = deferred("histo_ray.demo.run_demo:run_demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("--out", default="demo", help="folder to make (default: demo)")
    parser.add_argument("--small", action="store_true", help="smaller slides, for a quick check")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the synthetic slides (default: 0)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print pages, findings and pictures as JSON"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make synthetic slides, extract them with two encoders, ask the store, draw pictures."""
    told = sys.stdout
    if args.json:  # what a person reads goes to stderr then
        told = io.StringIO() if args.quiet else sys.stderr
    with redirect_stdout(told):
        made = run_demo(Path(args.out), small=args.small, seed=args.seed, say=note)
    if args.json:
        print_json(made._asdict())
    return 0
