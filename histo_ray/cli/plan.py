"""`histo-ray plan`."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.printable import one_line
from histo_ray.config import ExtractConfig
from histo_ray.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from histo_ray.extract.plan_summary import Planned, PlanRow, PlanSummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb: those of `extract`, but for its log."""
    add_settings(parser, ExtractConfig, without=("log",))
    parser.add_argument(
        "--pictures", metavar="DIR", help="draw every slide's tissue and tiles into DIR"
    )
    parser.add_argument(
        "--no-open",
        action="store_true",
        help="open no slide: only what of the manifest is stored and what is to do",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say what an extraction would do; write nothing."""
    config = read_settings(args, ExtractConfig)
    if args.no_open and args.pictures:
        raise ConfigError("--no-open with --pictures: slides are drawn once opened; leave one out")
    from histo_ray.cli.main import DONE, SOME_FAILED
    from histo_ray.cli.progress import Progress

    pictures = Path(args.pictures) if args.pictures else None
    with Progress("plan") as progress:  # its first line does not wait for the imports below
        from histo_ray.extract.estimate import run_plan, survey_slides

        def report(planned: "Planned", total: int) -> None:
            progress.show(len(planned.rows), total, describe_planned(planned, total))

        def show_rows(rows: "Sequence[PlanRow]", undrawn: dict[str, str]) -> None:
            progress.clear()
            if not args.json:
                _print_rows(rows, opened=not args.no_open)

        if args.no_open:
            plan = survey_slides(config)
            show_rows(plan.rows, {})
        else:
            plan = run_plan(config, report, pictures, show_rows, progress.say)
    if args.json:
        print(json.dumps(asdict(plan), indent=2))
    else:
        _print_sums(plan, args.pictures)
    return SOME_FAILED if any(row.status == "failed" for row in plan.rows) else DONE


def describe_planned(planned: "Planned", total: int) -> str:
    """How far a plan is, in words. Pure."""
    parts = [f"{len(planned.rows)}/{total} slides opened", f"{planned.tiles} tiles"]
    if planned.failed:
        parts.append(f"{planned.failed} slides failed")
    return ", ".join(parts)


def _percent(share: float | None) -> str:
    """A share in per cent; empty where unknown."""
    return "" if share is None else f"{share:.1%}"


def _print_rows(rows: "Sequence[PlanRow]", *, opened: bool) -> None:
    width = max(len("slide_id"), *(len(row.slide_id) for row in rows))
    print(
        f"{'slide_id':<{width}}  status  tiles   size (px)        mpp (from)         level  "
        "tissue    ink"
    )
    for row in rows:
        size = f"{row.width} x {row.height}" if row.width else ""
        mpp = f"{row.mpp:.4g} ({row.mpp_source})" if row.mpp else ""
        level = str(row.level) if row.level >= 0 else ""
        level = f"{level:<5}  {_percent(row.tissue_share):>6}  {_percent(row.ink_share):>5}"
        tiles = row.n_tiles if opened or row.status != "todo" else ""
        print(
            f"{row.slide_id:<{width}}  {row.status:<6} {tiles:>6}   {size:<15}  {mpp:<17}  "
            f"{level}  {one_line(row.reason)}".rstrip()
        )
    for row in rows:
        if row.remark:
            print(f"{row.slide_id}: {one_line(row.remark)}")
    sys.stdout.flush()  # what follows may take seconds


def _print_sums(plan: "PlanSummary", pictures: str | None) -> None:
    from histo_ray.cli.progress import format_seconds

    if plan.tiles is None or plan.vectors is None or plan.bytes is None:
        counts = Counter(row.status for row in plan.rows)
        print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
        print(
            "no slide was opened: what is to do may hold no tissue or fail, and what is stored was "
            "not compared with its file; without --no-open both are told",
            file=sys.stderr,
        )
    else:
        print(
            f"{plan.tiles} tiles to read, {plan.vectors} vectors to encode, "
            f"{plan.bytes / 1e6:.1f} MB to write"
        )
    for note in plan.notes:
        print(one_line(note))
    if plan.seconds is not None:
        print(f"about {format_seconds(plan.seconds)}, measured on one batch here, and Ray's start")
    if pictures:
        print(f"pictures of slides that the store lacks: {pictures}")
        for slide_id, problem in plan.undrawn.items():
            print(f"  no picture of {slide_id}: {problem}")
    print("nothing was written into the store", file=sys.stderr)
