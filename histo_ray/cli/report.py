"""Verb `histo-ray report`."""

import argparse

from histo_ray.deferred import deferred


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("store", help="folder or URI of the store")
    parser.add_argument("--out", default="report.html", help="file to write (default: report.html)")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        dest="runs",
        metavar="RUN_ID",
        help="evaluation to report, again for more (default: the newest of each task)",
    )
    parser.add_argument(
        "--heatmaps",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show slides with the scores of their tiles by out-of-fold heads, which are fitted "
        "again for it; takes seconds to minutes (default: yes)",
    )
    parser.add_argument(
        "--checklist",
        default="",
        metavar="NAME",
        help="tripod-ai: also write that checklist beside the report (HTML, Markdown, CSV), filled "
        "in with what the store knows; what only people know is asked",
    )
    parser.add_argument("--json", action="store_true", help="print path and sentences as JSON")
    parser.set_defaults(run=deferred("histo_ray.cli.report_work:run"))
