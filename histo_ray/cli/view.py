"""Verb `histo-ray view`."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.deferred import deferred
from histo_ray.view.view_settings import ViewConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("store", help=ViewConfig.model_fields["store"].description)
    add_settings(parser, ViewConfig, without=("store",))
    parser.add_argument("--json", action="store_true", help="print address, port and token as JSON")
    parser.set_defaults(run=deferred("histo_ray.cli.view_work:run"), waits=True)
