"""Flags of `histo-ray store`: ls, verify, sql, views, index, measure, where, convert, ..."""

import argparse

from histo_ray.cli.flags import add_settings
from histo_ray.deferred import deferred
from histo_ray.settings import WHERE
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.registry import EXCHANGE_FORMATS, IMPORT_LAYOUTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their flags."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ls = verbs.add_parser("ls", help="what is in the store: encoders, tilings, slides")
    ls.add_argument("--slides", action="store_true", help="one line a slide and encoder")
    ls.set_defaults(run=deferred("histo_ray.cli.store_actions:run_ls"))
    verify = verbs.add_parser("verify", help="read everything and check it against its receipts")
    verify.set_defaults(run=deferred("histo_ray.cli.store_actions:run_verify"))
    sql = verbs.add_parser(
        "sql", help="query embeddings, slides, runs, scores, ... with DuckDB ('show tables' lists)"
    )
    sql.set_defaults(run=deferred("histo_ray.cli.store_actions:run_sql"))
    views = verbs.add_parser("views", help="print SQL that makes the views of sql in any DuckDB")
    views.set_defaults(run=deferred("histo_ray.cli.store_actions:run_views"))
    index = verbs.add_parser("index", help="build or drop the index that finds similar tiles")
    index.add_argument("what", choices=("build", "drop"), help="build it anew, or drop it")
    index.add_argument("--encoder", help="whose tiles (default: the only one; of drop: all)")
    index.add_argument("--tiling", help="fingerprint, where the encoder has several")
    index.set_defaults(run=deferred("histo_ray.cli.store_index:run_index"))
    convert = verbs.add_parser("convert", help="convert partitions to the other form")
    convert.add_argument("--to", choices=("parquet", "zarr"), required=True)
    convert.set_defaults(run=deferred("histo_ray.cli.store_exchange:run_convert"))
    export = verbs.add_parser("export", help="write slides as files of another tool")
    abouts: dict[str, list[str]] = {}
    for one in EXCHANGE_FORMATS:  # of one name: several files a slide
        abouts.setdefault(one.name, []).append(one.about)
    formats = "; ".join(f"{name}: {', and '.join(about)}" for name, about in abouts.items())
    export.add_argument("--to", required=True, metavar="FORMAT", help=formats)
    export.add_argument("--out", metavar="DIR", help="folder or URI for the files")
    export.add_argument("--encoder", help="whose tiles, where the store holds several encoders")
    export.add_argument("--tiling", help="fingerprint, its first letters, or its mpp")
    export.add_argument(
        "--slide", action="append", default=[], metavar="ID", help="repeat it (default: all)"
    )
    export.add_argument(
        "--overwrite", action="store_true", help="write files anew that are there already"
    )
    export.set_defaults(run=deferred("histo_ray.cli.store_exchange:run_export"))
    _add_import(verbs)
    gc = verbs.add_parser("gc", help="remove what crashed runs left and what can be made again")
    gc.add_argument("--older-than-h", type=float, default=24.0, help="hours (default: 24)")
    gc.add_argument("--dry-run", action="store_true", help="only say what would go")
    gc.set_defaults(run=deferred("histo_ray.cli.store_actions:run_gc"))
    measure, where = _add_quality(verbs)
    for sub in (ls, verify, sql, views, index, convert, export, gc, measure, where):
        sub.add_argument("store", help="folder or URI of the store")
        sub.add_argument("--json", action="store_true", help="print as JSON")
    export.add_argument("out_folder", nargs="?", metavar="OUT", help="the same as --out")
    where.add_argument("where", metavar="CONDITION", help=WHERE)
    sql.add_argument("query", help="SQL")
    sql.add_argument(
        "--csv",
        action="store_true",
        help="print all rows as CSV, not the first few; control characters in texts are spelled "
        "out, and an apostrophe stands before a text that a spreadsheet would calculate",
    )


def _add_quality(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    measure = verbs.add_parser(
        "measure", help="measure pen, folds and blur of tiles that are stored, without encoding"
    )
    measure.add_argument(
        "--pixels", action="store_true", help="read the tiles' own pixels, too, for blur"
    )
    measure.add_argument("--again", action="store_true", help="slides that were measured, too")
    measure.add_argument("--threads", type=int, help="slides at once (default: one a core)")
    measure.set_defaults(run=deferred("histo_ray.cli.store_quality:run_measure"))
    where = verbs.add_parser("where", help="count and draw the tiles that a condition keeps")
    where.add_argument("--encoder", required=True, help="whose slides")
    where.add_argument("--tiling", help="fingerprint, where the encoder has several")
    where.add_argument(
        "--slide", action="append", default=[], metavar="ID", help="repeat it (default: all)"
    )
    where.add_argument("--pictures", metavar="DIR", help="folder for one PNG a slide")
    where.set_defaults(run=deferred("histo_ray.cli.store_quality:run_where"))
    for sub in (measure, where):
        sub.add_argument(
            "--manifest", help="where the slides lie now, if not where they were extracted"
        )
    return measure, where


def _add_import(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("import", help="bring features of another tool into a store")
    parser.add_argument("folder", metavar="DIR", help="folder of the features")
    layouts = "; ".join(f"{one.name}: {one.reads}" for one in IMPORT_LAYOUTS)
    parser.add_argument(
        "--from", dest="layout", metavar="LAYOUT", help=f"{layouts} (default: told by the files)"
    )
    add_settings(parser, ImportConfig, without=("folder", "layout"))
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=deferred("histo_ray.cli.store_import:run_import"))
