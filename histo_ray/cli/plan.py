"""`histo-ray plan`."""

import argparse

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.progress import SlideProgress
from histo_ray.config import ExtractConfig, works_here
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError

plan_slides = deferred("histo_ray.cli.plan_work:plan_slides")
start_server = deferred("histo_ray.extract.plan_processes:start_server")
print_plan = deferred("histo_ray.cli.plan_work:print_plan")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the verb: those of `extract`, but for its log."""
    add_settings(parser, ExtractConfig, without=("log",))
    parser.add_argument(
        "--pictures", metavar="DIR", help="draw every slide's tissue and tiles into DIR"
    )
    parser.add_argument(
        "--no-open",
        action="store_true",
        help="open no slide: only what of the manifest is stored and what is to do",
    )
    parser.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="load the encoders and measure one batch for the estimate of time, whatever is to do; "
        "or never do (default: from 1,000 vectors on, unless the store has a run of the same "
        "encoders, tiles and number of cores, whose speed is taken)",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what an extraction would do; write nothing."""
    config = read_settings(args, ExtractConfig)
    if args.no_open and args.pictures:
        raise ConfigError("--no-open with --pictures: slides are drawn once opened; leave one out")
    if args.no_open and args.measure:
        raise ConfigError(
            "--no-open with --measure: a batch of an opened slide is measured; leave one out"
        )
    with SlideProgress(
        "plan"
    ) as progress:  # its first line does not wait for the imports of the work
        if not args.no_open and works_here(config.address):
            start_server()  # it imports while this process does
        made = plan_slides(
            config,
            progress,
            args.pictures,
            open_slides=not args.no_open,
            as_json=args.json,
            measure=args.measure,
        )
    code: int = print_plan(made, args.pictures, as_json=args.json)
    return code
