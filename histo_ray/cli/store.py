"""`histo-ray store ls | verify | sql | convert | export | gc`."""

import argparse
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from histo_ray.cli.printable import csv_cell, one_line, printable
from histo_ray.errors import ConfigError, StoreError
from histo_ray.text import count_of

if TYPE_CHECKING:
    import pandas as pd

    from histo_ray.types import PartitionKey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of the verb."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ls = verbs.add_parser("ls", help="what is in the store: encoders, tilings, slides")
    ls.add_argument("--slides", action="store_true", help="one line a slide and encoder")
    ls.set_defaults(run=run_ls)
    verify = verbs.add_parser("verify", help="read everything and check it against its receipts")
    verify.set_defaults(run=run_verify)
    sql = verbs.add_parser("sql", help="query the views embeddings, slides and runs with DuckDB")
    sql.set_defaults(run=run_sql)
    convert = verbs.add_parser("convert", help="convert partitions to the other form")
    convert.add_argument("--to", choices=("parquet", "zarr"), required=True)
    convert.set_defaults(run=run_convert)
    export = verbs.add_parser("export", help="write slides as files of another tool")
    export.add_argument("--to", required=True, metavar="FORMAT", help="geojson (QuPath)")
    export.add_argument("--out", metavar="DIR", help="folder or URI for the files")
    export.add_argument("--encoder", help="whose tiles, where the store holds several encoders")
    export.add_argument("--tiling", help="fingerprint, its first letters, or its mpp")
    export.add_argument(
        "--slide", action="append", default=[], metavar="ID", help="repeat it (default: all)"
    )
    export.add_argument(
        "--overwrite", action="store_true", help="write files anew that are there already"
    )
    export.set_defaults(run=run_export)
    gc = verbs.add_parser("gc", help="remove what crashed runs left and what can be made again")
    gc.add_argument("--older-than-h", type=float, default=24.0, help="hours (default: 24)")
    gc.add_argument("--dry-run", action="store_true", help="only say what would go")
    gc.set_defaults(run=run_gc)
    for sub in (ls, verify, sql, convert, export, gc):
        sub.add_argument("store", help="folder or URI of the store")
        sub.add_argument("--json", action="store_true", help="print as JSON")
    sql.add_argument("query", help="SQL")
    sql.add_argument(
        "--csv",
        action="store_true",
        help="print all rows as CSV, not the first few; control characters in texts are spelled "
        "out, and an apostrophe stands before a text that a spreadsheet would calculate",
    )


def run_ls(args: argparse.Namespace) -> int:
    """Print what is in the store; 1 if a partition is damaged, which is then named and left out."""
    from histo_ray.store.layout import is_given
    from histo_ray.store.store import open_store
    from histo_ray.store.tilings import describe_tilings, one_of_each_tiling

    store = open_store(args.store)
    damaged: list[StoreError] = []

    def note(key: "PartitionKey", error: StoreError) -> None:
        damaged.append(error)

    if args.slides:
        slides = store.slides(on_damaged=note)
    else:
        groups = ["encoder", "dim", "precision", "tile_px", "tile_mpp", "tiling", "format"]
        slides = (
            store.slides([*groups, "slide_id", "patient_id", "n_tiles"], on_damaged=note)
            .groupby(groups, as_index=False, dropna=False)
            .agg(
                slides=("slide_id", "nunique"),
                patients=("patient_id", "nunique"),
                tiles=("n_tiles", "sum"),
                empty=("n_tiles", lambda counts: int((counts == 0).sum())),
            )
        )
    if args.json:
        print(slides.to_json(orient="records", indent=2))
    else:
        known = slides["tile_mpp"].map(lambda mpp: f"{mpp:g}" if mpp else "-")
        slides = slides.assign(tile_mpp=known)  # 0 where a tile set does not say
        text = slides.to_string(index=False) if len(slides) else "the store holds no partition yet"
        print(printable(text))
        tilings = {name for name in slides["tiling"] if not is_given(name)}
        if len(tilings) > 1 and not args.slides:
            keys = [key for key in store.list_keys() if key.tiling in tilings]
            told = describe_tilings(store.receipts(one_of_each_tiling(keys)))
            print(printable(f"tilings of slides: {told}"))
    for error in damaged:
        print(f"left out: {one_line(str(error))}", file=sys.stderr)
    return 1 if damaged else 0


def run_verify(args: argparse.Namespace) -> int:
    """Check every partition; 1 if something is wrong."""
    from histo_ray.store.store import open_store

    found = open_store(args.store).inspect()
    problems = found.problems
    if args.json:
        print(json.dumps(found._asdict(), indent=2))
    else:
        for problem in problems:
            print(one_line(problem))
        print(f"{found.partitions} partitions checked, {len(problems)} problems")
        print(f"{found.files} other files checked: run tables, evaluations, models, store.json")
        if found.unsealed:
            print(
                f"{found.unsealed} of them hold no digest of themselves, as histo-ray 0.1.0 wrote "
                "them: they can be read, but a changed value in them would not be noticed"
            )
        if any(problem.startswith("embeddings/") for problem in problems):
            print("delete a damaged partition, and the same extract command makes it again")
    return 1 if problems else 0


def run_sql(args: argparse.Namespace) -> int:
    """Run a query and print its rows."""
    import duckdb

    from histo_ray.store.store import open_store

    if not args.query.strip():
        raise ConfigError(
            "store sql: the query is empty; give SQL, as in 'select count(*) from embeddings'"
        )
    try:
        result = open_store(args.store).sql(args.query)
        if args.json:
            print(result.df().to_json(orient="records", indent=2))
        elif args.csv:
            as_csv_cells(result.df()).to_csv(sys.stdout, index=False)
        else:
            print(printable(str(result)))
    except duckdb.Error as error:
        raise ConfigError(f"store sql: {one_line(' '.join(str(error).split()))}") from None
    return 0


def as_csv_cells(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A table whose texts, its header's too, may be printed or opened in a spreadsheet."""

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            return csv_cell(value)
        return printable(str(value)) if isinstance(value, bytes | list | dict) else value

    safe = frame.copy()
    for at, kind in enumerate(frame.dtypes):
        if getattr(kind, "kind", "O") == "O":  # not of plain numbers, truths or times
            cells = frame.iloc[:, at].astype(object).map(cell, na_action="ignore")
            safe.isetitem(at, cells.to_numpy(object))
    return safe.set_axis([csv_cell(str(name)) for name in frame.columns], axis=1)


def run_export(args: argparse.Namespace) -> int:
    """Write slides as files of another tool; 1 if some could not be read."""
    from histo_ray.store.exchange.export_slides import export_slides
    from histo_ray.store.exchange.formats import find_exchange_format
    from histo_ray.store.location import location_of
    from histo_ray.store.store import open_store

    form = find_exchange_format(args.to)
    if not args.out:
        raise ConfigError("store export: give --out, the folder that the files shall be in")
    done = export_slides(
        open_store(args.store).root,
        form,
        location_of(args.out),
        args.encoder,
        args.tiling,
        args.slide,
        args.overwrite,
    )
    if args.json:
        print(json.dumps(done._asdict(), indent=2))
        return 1 if done.problems else 0
    for problem in done.problems:
        print(f"not exported: {one_line(problem)}", file=sys.stderr)
    print(f"{count_of(len(done.written), 'slide')} written as {args.to} into {one_line(args.out)}")
    if done.there:
        print(
            f"{count_of(len(done.there), 'file')} there already and left as "
            f"{'it is' if len(done.there) == 1 else 'they are'}; --overwrite writes "
            f"{'it' if len(done.there) == 1 else 'them'} anew"
        )
    return 1 if done.problems else 0


def run_convert(args: argparse.Namespace) -> int:
    """Convert every partition; 1 if some could not be and stayed as they were."""
    from histo_ray.store.store import open_store

    done = open_store(args.store).convert(to=args.to)
    for problem in done.problems:
        print(f"not converted: {one_line(problem)}", file=sys.stderr)
    print(f"{done.written} partitions are now {args.to}")
    if done.dropped:
        print(f"{done.dropped} were there in both forms alike, and now are {args.to} only")
    return 1 if done.problems else 0


def run_gc(args: argparse.Namespace) -> int:
    """Remove leftovers."""
    from histo_ray.store.store import open_store

    if not 0 <= args.older_than_h < math.inf:
        raise ConfigError(f"--older-than-h {args.older_than_h:g}: must be 0 or more")
    removed = open_store(args.store).gc(older_than_s=args.older_than_h * 3600, dry_run=args.dry_run)
    if args.json:
        print(json.dumps(removed, indent=2))
        return 0
    for path in removed:
        print(one_line(path))
    print(f"{len(removed)} leftovers {'would be ' if args.dry_run else ''}removed")
    return 0
