"""`histo-ray evaluate tissue`."""

import argparse
import json
import sys
import time

from histo_ray.cli.flags import add_settings, read_settings

LINE_EVERY_S = 15.0
"""Between lines of progress."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tasks of the verb."""
    from histo_ray.learn.config import TissueConfig

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    text = "which encoder tells tissues apart best: a head on embeddings of labelled tiles"
    tissue = tasks.add_parser("tissue", help=text, description=text)
    add_settings(tissue, TissueConfig)
    tissue.add_argument("--json", action="store_true", help="print run.json")
    tissue.set_defaults(run=run_tissue)


def run_tissue(args: argparse.Namespace) -> int:
    """Evaluate, and say how the encoders compare."""
    from histo_ray.learn.config import TissueConfig

    config = read_settings(args, TissueConfig)
    from histo_ray.cli.progress import Progress
    from histo_ray.cluster import tissue_run
    from histo_ray.report.words import describe_run

    with Progress("extract") as progress:
        found = tissue_run.run_tissue(config, progress.report, tell, Lines().report)
    if args.json:
        print(json.dumps(found.note, indent=1))
        return 0
    for line in describe_run(found.note):
        print(line)
    print(f"tables: {config.store.rstrip('/')}/{found.folder.folder}")
    return 0


class Lines:
    """Progress on stderr, a line now and then and one at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def report(self, done: int, total: int) -> None:
        """Show how many repeats are done."""
        if done == total or time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            tell(f"{done}/{total} repeats judged")


def tell(text: str) -> None:
    """A line on stderr."""
    print(f"evaluate: {text}", file=sys.stderr, flush=True)
