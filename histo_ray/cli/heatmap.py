"""Verb `histo-ray heatmap`."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.deferred import deferred
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("store", help=HeatmapConfig.model_fields["store"].description)
    about = HeatmapConfig.model_fields["run"].description
    parser.add_argument("--run", dest="run_id", metavar="RUN_ID", help=about)
    add_settings(parser, HeatmapConfig, without=("store", "run"))
    parser.add_argument(
        "--out", required=True, help="folder or URI for the files; made if it is not there"
    )
    parser.add_argument("--json", action="store_true", help="print files and records as JSON")
    parser.set_defaults(run=deferred("histo_ray.cli.heatmap_work:run"))
