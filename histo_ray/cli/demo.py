"""Verb `histo-ray demo`."""

import argparse
from pathlib import Path

from histo_ray.deferred import deferred

run_demo = deferred("histo_ray.demo.run_demo:run_demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("--out", default="demo", help="folder to make (default: demo)")
    parser.add_argument("--small", action="store_true", help="smaller slides, for a quick check")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the synthetic slides (default: 0)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make synthetic slides, extract them with two encoders, ask the store, draw pictures."""
    code: int = run_demo(Path(args.out), small=args.small, seed=args.seed)
    return code
