"""What `histo-ray store export` and `histo-ray store convert` do."""

import argparse
import sys

from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import CountBar
from histo_ray.errors import ConfigError
from histo_ray.store.convert import convert_partitions
from histo_ray.store.exchange.export_slides import export_all
from histo_ray.store.exchange.registry import find_exchange_format
from histo_ray.store.layout import FORMS
from histo_ray.store.location import location_of
from histo_ray.store.store import open_store
from histo_ray.text import count_of


def run_export(args: argparse.Namespace) -> int:
    """Write slides as files of another tool; return 1 if some could not be read."""
    args.out = _choose_out(args.out, args.out_folder)
    if args.to in FORMS and not args.out:
        print(
            f"store export --to {args.to} is store convert --to {args.to} now, which is done; the "
            "old spelling goes with the next release",
            file=sys.stderr,
        )
        return run_convert(args)
    formats = find_exchange_format(args.to)
    if not args.out:
        raise ConfigError("store export: give --out, the folder that the files shall be in")
    root = open_store(args.store).root
    with CountBar("store export", "slides exported") as bar:
        done = export_all(
            root,
            formats,
            location_of(args.out),
            args.encoder,
            args.tiling,
            args.slide,
            args.overwrite,
            bar.report,
        )
    if args.json:
        print_json(done._asdict())
        return 1 if done.problems else 0
    for problem in done.problems:
        print(f"not exported: {one_line(problem)}", file=sys.stderr)
    unit = "slide" if len(formats) == 1 else "file"
    print(f"{count_of(len(done.written), unit)} written as {args.to} into {one_line(args.out)}")
    if done.there:
        print(
            f"{count_of(len(done.there), 'file')} there already and left as "
            f"{'it is' if len(done.there) == 1 else 'they are'}; --overwrite writes "
            f"{'it' if len(done.there) == 1 else 'them'} anew"
        )
    return 1 if done.problems else 0


def _choose_out(flag: str | None, folder: str | None) -> str | None:
    """The folder of an export, by flag or by its place in the command line.

    Raises:
        ConfigError: Both are given and differ.
    """
    if flag and folder and flag != folder:
        raise ConfigError(f"store export: {folder} and --out {flag} name two folders; give one")
    return flag or folder


def run_convert(args: argparse.Namespace) -> int:
    """Convert every partition; return 1 if some could not be converted and stayed."""
    root = open_store(args.store).root
    with CountBar("store convert", "partitions converted") as bar:
        done = convert_partitions(root, args.to, root, bar.report)
    if args.json:
        print_json(done._asdict())
        return 1 if done.problems else 0
    for problem in done.problems:
        print(f"not converted: {one_line(problem)}", file=sys.stderr)
    print(f"{done.written} partitions are now {args.to}")
    if done.dropped:
        print(f"{done.dropped} were there in both forms alike, and now are {args.to} only")
    return 1 if done.problems else 0
