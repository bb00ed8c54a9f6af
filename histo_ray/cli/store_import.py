"""What `histo-ray store import` does."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict

from histo_ray.api.import_features import import_features
from histo_ray.cli.exit_codes import DONE, INTERRUPTED, SOME_FAILED
from histo_ray.cli.flags import read_settings
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import SlideProgress
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.import_run import ImportSummary
from histo_ray.store.extraction_record import ExtractionState
from histo_ray.text import count_of
from histo_ray.types import Outcome

LISTED = 50
"""Slides printed of each kind; the run table has them all."""


def run_import(args: argparse.Namespace) -> int:
    """Import features, and print what became of every slide."""
    config = read_settings(args, ImportConfig)
    with SlideProgress("import") as progress:

        def report(done: int, total: int) -> None:
            progress.show(done, total, f"{done}/{total} slides")

        summary = import_features(config, report=report, notify=progress.say).summary
    if args.json:
        print_json(describe_as_json(summary, config.store))
    else:
        for line in describe_import(summary):
            print(line)
        print(f"store {config.store}, run table runs/{summary.run_id}.parquet")
    if summary.state is ExtractionState.INTERRUPTED:
        left = count_of(summary.unfinished, "slide")
        print(f"interrupted with {left} unfinished: the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return SOME_FAILED if summary.outcomes.get(Outcome.FAILED) else DONE


def describe_as_json(summary: ImportSummary, store: str) -> dict[str, object]:
    """What `--json` prints. Pure."""
    return {
        "run_id": summary.run_id,
        "store": store,
        "state": summary.state,
        "outcomes": summary.outcomes,
        "unfinished": summary.unfinished,
        "slides": [asdict(row) for row in summary.rows],
    }


def describe_import(summary: ImportSummary) -> Iterator[str]:
    """Lines on an import. Pure."""
    parts = [f"{count} {outcome}" for outcome, count in sorted(summary.outcomes.items())]
    tiles = sum(row.n_tiles for row in summary.rows if row.outcome is Outcome.DONE)
    yield f"{count_of(len(summary.rows), 'slide')}: {', '.join(parts) or 'none'}; {tiles:,} tiles"
    lost = [row for row in summary.rows if row.outcome in (Outcome.FAILED, Outcome.EMPTY)]
    for row in lost[:LISTED]:
        yield f"  {row.outcome:<6} {one_line(row.slide_id)}: {one_line(row.reason)}"
    if len(lost) > LISTED:
        yield f"  ... and {len(lost) - LISTED} more"
    if any(row.outcome is Outcome.FAILED for row in lost):
        yield "  name the slides to import with --manifest or --slide to leave failed ones out"
    remarks: dict[str, list[str]] = {}
    for row in summary.rows:
        if row.outcome is Outcome.DONE and row.reason:
            remarks.setdefault(row.reason, []).append(row.slide_id)
    for remark, slides in list(remarks.items())[:LISTED]:
        more = f" and {len(slides) - 1} more" if len(slides) > 1 else ""
        yield f"  remark {one_line(slides[0])}{more}: {one_line(remark)}"
