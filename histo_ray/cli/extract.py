"""`histo-ray extract`."""

import argparse

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.config import ExtractConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    add_settings(parser, ExtractConfig)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Extract, and say what became of every slide."""
    config = read_settings(args, ExtractConfig)
    from histo_ray.cli.progress import Progress

    with Progress("extract") as progress:  # its first line does not wait for the imports below
        from histo_ray.cli.slide_log import log_slides
        from histo_ray.cli.summary import print_run
        from histo_ray.cluster.run_extract import run_extract

        with log_slides(config.log):
            summary = run_extract(config, progress.report, progress.say)
    return print_run(summary, config.store, as_json=args.json)
