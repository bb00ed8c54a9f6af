"""Verb `histo-ray fit-slide-encoder`."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.deferred import deferred
from histo_ray.pooling.slide_encoders.slide_settings import FitSlideEncoderConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    add_settings(parser, FitSlideEncoderConfig)
    parser.add_argument("--json", action="store_true", help="print its card as JSON")
    parser.set_defaults(run=deferred("histo_ray.cli.slide_work:run_fit_slide_encoder"))
