"""`histo-ray extract`."""

import argparse

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.progress import SlideProgress
from histo_ray.config import ExtractConfig
from histo_ray.deferred import deferred

extract = deferred("histo_ray.api.extract:extract")
log_slides = deferred("histo_ray.cli.slide_log:log_slides")
print_run = deferred("histo_ray.cli.summary:print_run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the verb."""
    add_settings(parser, ExtractConfig)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run, encodes=True)


def run(args: argparse.Namespace) -> int:
    """Extract, and print what became of every slide."""
    config = read_settings(args, ExtractConfig)
    with SlideProgress("extract") as progress, log_slides(config.log):
        summary = extract(config, report=progress.report, notify=progress.say).summary
    code: int = print_run(summary, config.store, as_json=args.json)
    return code
