"""What `histo-ray store measure` and `where` do."""

import argparse
import json
import sys

from histo_ray.api.measure import measure
from histo_ray.api.show_where import WhereResult, show_where
from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line, printable
from histo_ray.cli.progress import LineBar
from histo_ray.text import count_of

SHOWN = 40
"""Slides of the table that is printed at most."""


def run_measure(args: argparse.Namespace) -> int:
    """Measure what is missing; return 1 if a slide could not be measured."""
    with LineBar("measure") as progress:
        found = measure(
            args.store,
            manifest=args.manifest,
            pixels=args.pixels,
            again=args.again,
            threads=args.threads,
            say=progress.tell,
        )
    for problem in found.problems:
        print(f"not measured: {one_line(problem)}", file=sys.stderr)
    if args.json:
        print_json(vars(found))
    else:
        print(
            f"{count_of(len(found.done), 'slide')} measured, {found.there} had been before, "
            f"{len(found.problems)} could not be"
        )
    return SOME_FAILED if found.problems else DONE


def run_where(args: argparse.Namespace) -> int:
    """Print what a condition keeps of each slide, and draw it where asked for."""
    with LineBar("where") as progress:
        found = show_where(
            args.store,
            args.where,
            encoder=args.encoder,
            tiling=args.tiling,
            slide_ids=args.slide or None,
            pictures=args.pictures,
            manifest=args.manifest,
            say=progress.tell,
        )
    for problem in found.problems:
        print(f"no slide in the picture: {one_line(problem)}", file=sys.stderr)
    if args.json:
        rows = json.loads(found.slides.to_json(orient="records"))
        print_json({"where": found.where, "slides": rows, "written": found.written})
    else:
        _print(found, args.pictures)
    return SOME_FAILED if found.problems else DONE


def _print(found: WhereResult, pictures: str | None) -> None:
    frame = found.slides
    shown = frame.head(SHOWN).assign(dropped=frame["dropped"].map("{:.1%}".format, "ignore"))
    print(printable(shown.to_string(index=False, na_rep="-")))
    if len(frame) > SHOWN:
        print(
            f"... and {count_of(len(frame) - SHOWN, 'slide')} with less dropped; --json lists all"
        )
    tiles, kept = int(frame["tiles"].sum()), int(frame["kept"].sum())
    emptied = int(((frame["kept"] == 0) & (frame["tiles"] > 0)).sum())
    print(
        f"{found.where}: {kept:,} of {tiles:,} tiles kept, {tiles - kept:,} dropped "
        f"({(tiles - kept) / max(1, tiles):.1%}); {count_of(emptied, 'slide')} left without a tile"
    )
    if pictures:
        print(f"{count_of(len(found.written), 'picture')} in {one_line(pictures)}")
