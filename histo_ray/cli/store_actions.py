"""What `histo-ray store ls`, `verify`, `sql` and `gc` do."""

import argparse
import io
import math
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import duckdb

from histo_ray.cli.json_results import print_document, print_json
from histo_ray.cli.printable import csv_cell, one_line, printable
from histo_ray.cli.progress import CountBar
from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.layout import is_given
from histo_ray.store.location import Location
from histo_ray.store.slide_vectors import list_slide_vectors
from histo_ray.store.store import open_store
from histo_ray.store.tilings import describe_tilings, one_of_each_tiling
from histo_ray.store.verify import verify_store
from histo_ray.text import count_of
from histo_ray.types import PartitionKey

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 100
"""Rows that `store sql` prints; of more the first and the last half of them."""


def run_ls(args: argparse.Namespace) -> int:
    """List what is in the store; return 1 if a partition is damaged, and name it."""
    store = open_store(args.store)
    damaged: list[StoreError] = []

    def note(key: PartitionKey, error: StoreError) -> None:
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
        print_document(slides.to_json(orient="records", indent=2))
    else:
        known = slides["tile_mpp"].map("{:g}".format, na_action="ignore")
        slides = slides.assign(tile_mpp=known).astype(object)
        slides = slides.where(slides.notna(), "-")  # what nobody stated
        text = slides.to_string(index=False) if len(slides) else "the store holds no partition yet"
        print(printable(text))
        tilings = {name for name in slides["tiling"] if not is_given(name)}
        if len(tilings) > 1 and not args.slides:
            keys = [key for key in store.list_keys() if key.tiling in tilings]
            text = describe_tilings(store.receipts(one_of_each_tiling(keys)))
            print(printable(f"tilings of slides: {text}"))
    for line in [] if args.json else _describe_slide_vectors(store.root):
        print(printable(line))
    for error in damaged:
        print(f"left out: {one_line(str(error))}", file=sys.stderr)
    return 1 if damaged else 0


def _describe_slide_vectors(root: Location) -> Iterator[str]:
    """Lines on the vectors of slides, one a slide encoder, tile encoder and tiling."""
    counts = Counter(key[:3] for key in list_slide_vectors(root))
    for (name, encoder, tiling), count in sorted(counts.items()):
        yield f"slide vectors: {name} of {encoder}, tiling {tiling}: {count_of(count, 'slide')}"


def run_verify(args: argparse.Namespace) -> int:
    """Check every file against its digest; return 1 if something is wrong."""
    with CountBar("store verify", "partitions checked") as bar:
        found = verify_store(open_store(args.store).root, bar.report)
    problems = found.problems
    if args.json:
        print_json(found._asdict())
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
    if not args.query.strip():
        raise ConfigError(
            "store sql: the query is empty; give SQL, as in 'select count(*) from embeddings'"
        )
    try:
        result: Any = open_store(args.store).sql(args.query)
        if result is None:  # a statement that is no query, as COPY
            if args.json:
                print_document("[]")
            return 0
        if args.json:
            print_document(result.df().to_json(orient="records", indent=2))
        elif args.csv:
            as_csv_cells(result.df()).to_csv(sys.stdout, index=False)
        else:
            shown = io.StringIO()
            with redirect_stdout(shown):
                result.show(max_rows=SHOWN_ROWS)
            print(printable(shown.getvalue().rstrip("\n")))
    except duckdb.Error as error:
        raise ConfigError(f"store sql: {one_line(' '.join(str(error).split()))}") from None
    return 0


def run_views(args: argparse.Namespace) -> int:
    """Print SQL that makes the views of the store in any DuckDB."""
    script = open_store(args.store).view_script()
    if args.json:
        print_json({"sql": script})
    else:
        print(script, end="")
    return 0


def as_csv_cells(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Make all texts of a table, its header too, safe to print or open in a spreadsheet."""

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


def run_gc(args: argparse.Namespace) -> int:
    """Remove what crashed runs left behind."""
    if not 0 <= args.older_than_h < math.inf:
        raise ConfigError(f"--older-than-h {args.older_than_h:g}: must be 0 or more")
    removed = open_store(args.store).gc(older_than_s=args.older_than_h * 3600, dry_run=args.dry_run)
    if args.json:
        print_json(removed)
        return 0
    for path in removed:
        print(one_line(path))
    print(f"{len(removed)} leftovers {'would be ' if args.dry_run else ''}removed")
    return 0
