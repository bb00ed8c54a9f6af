"""Verb `histo-ray fit-slide-encoder`."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.cli.progress import say
from histo_ray.deferred import deferred
from histo_ray.pooling.slide_encoders.slide_settings import FitSlideEncoderConfig

_run_fit_slide_encoder = deferred("histo_ray.cli.slide_work:run_fit_slide_encoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    add_settings(parser, FitSlideEncoderConfig)
    parser.add_argument("--json", action="store_true", help="print its card as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit a slide encoder, and publish it."""
    say("fit-slide-encoder", "starting")  # the imports take a second
    status: int = _run_fit_slide_encoder(args)
    return status
