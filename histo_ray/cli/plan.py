"""`histo-ray plan`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.printable import one_line
from histo_ray.config import ExtractConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb: those of `extract`, but for its log."""
    add_settings(parser, ExtractConfig, without=("log",))
    parser.add_argument(
        "--pictures", metavar="DIR", help="draw every slide's tissue and tiles into DIR"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say what an extraction would do; write nothing."""
    config = read_settings(args, ExtractConfig)
    from histo_ray.cli.main import DONE, SOME_FAILED
    from histo_ray.cli.progress import Progress, format_seconds
    from histo_ray.cluster.estimate import run_plan

    with Progress("plan") as progress:
        plan = run_plan(config, progress.report, Path(args.pictures) if args.pictures else None)
    failed = any(row.status == "failed" for row in plan.rows)
    if args.json:
        print(json.dumps(asdict(plan), indent=2))
        return SOME_FAILED if failed else DONE
    width = max(len("slide_id"), *(len(row.slide_id) for row in plan.rows))
    print(f"{'slide_id':<{width}}  status  tiles   size (px)        mpp (from)         level")
    for row in plan.rows:
        size = f"{row.width} x {row.height}" if row.width else ""
        mpp = f"{row.mpp:.4g} ({row.mpp_source})" if row.mpp else ""
        level = str(row.level) if row.level >= 0 else ""
        print(
            f"{row.slide_id:<{width}}  {row.status:<6} {row.n_tiles:>6}   {size:<15}  {mpp:<17}  "
            f"{level}{'  ' if level else ''}{one_line(row.reason)}".rstrip()
        )
    print(
        f"{plan.tiles} tiles to read, {plan.vectors} vectors to encode, "
        f"{plan.bytes / 1e6:.1f} MB to write"
    )
    if plan.seconds is not None:
        print(f"about {format_seconds(plan.seconds)}, measured on one batch here, and Ray's start")
    if args.pictures:
        print(f"pictures of slides that the store lacks: {args.pictures}")
        for slide_id, problem in plan.undrawn.items():
            print(f"  no picture of {slide_id}: {problem}")
    print("nothing was written into the store", file=sys.stderr)
    return SOME_FAILED if failed else DONE
