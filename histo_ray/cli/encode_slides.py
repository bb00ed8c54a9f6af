"""Verb `histo-ray encode-slides`."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.cli.progress import say
from histo_ray.deferred import deferred
from histo_ray.pooling.slide_encoders.slide_settings import EncodeSlidesConfig

_run_encode_slides = deferred("histo_ray.cli.slide_work:run_encode_slides")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    add_settings(parser, EncodeSlidesConfig)
    parser.add_argument(
        "--list",
        action="store_true",
        help="list the slide encoders that are known by name, with their contracts; with --store "
        "those that are published there, too",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode slides, or list what encodes them."""
    if not args.list:
        say("encode-slides", "starting")  # the imports take a second
    status: int = _run_encode_slides(args)
    return status
