"""`histo-ray plan`."""

import argparse

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.progress import Progress
from histo_ray.config import ExtractConfig
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError

plan_slides = deferred("histo_ray.cli.plan_work:plan_slides")
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
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what an extraction would do; write nothing."""
    config = read_settings(args, ExtractConfig)
    if args.no_open and args.pictures:
        raise ConfigError("--no-open with --pictures: slides are drawn once opened; leave one out")
    with Progress("plan") as progress:  # its first line does not wait for the imports of the work
        made = plan_slides(
            config, progress, args.pictures, open_slides=not args.no_open, as_json=args.json
        )
    code: int = print_plan(made, args.pictures, as_json=args.json)
    return code
