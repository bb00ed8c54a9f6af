"""The views of a store as SQL over its files; which there are say `listed_views`. Pure."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from histo_ray.schema import arrow_schema, optional_names
from histo_ray.store.layout import QUALITY, RUNS
from histo_ray.store.sql.listed_views import (
    CARDS,
    PREDICTIONS,
    QUALITY_FILES,
    SLIDE_FILES,
    SLIDE_VECTORS,
    TABLES,
    CardView,
    TableView,
)
from histo_ray.store.sql.quoting import escape_path, quote_name, quote_text, select_nothing

MEASURED = ("tissue", "focus")
"""Columns of tiles that files hold as NaN where nobody measured them, and views as NULL, as all
numbers of tables: SQL takes NaN for the largest number, and a mean over one is NaN."""
ARTEFACTS = ("ink", "fold", "blur")


def embeddings_schema(labelled: bool = False) -> pa.Schema:
    """The columns of the view `embeddings`; vectors are lists, as widths differ by encoder."""
    optional = optional_names("embeddings") if labelled else ()
    fields = [pa.field(f.name, f.type) for f in arrow_schema("embeddings", 1, optional=optional)]
    kinds = {"embedding": pa.list_(pa.float32())}
    return pa.schema(
        [
            *(pa.field(field.name, kinds.get(field.name, field.type)) for field in fields),
            ("encoder", pa.string()),
            ("tiling", pa.string()),
        ]
    )


def table_schema(view: TableView) -> pa.Schema:
    """The columns of a view of evaluations' tables, of every task."""
    columns = {name: pa.string() for name in view.names}
    for name in view.schemas:
        for field in arrow_schema(name, optional=optional_names(name)):
            columns.setdefault(field.name, field.type)
    return pa.schema(list(columns.items()))


def runs_schema() -> pa.Schema:
    """The columns of the view `runs`."""
    fields = [pa.field(field.name, field.type) for field in arrow_schema("runs")]
    return pa.schema([("run_id", pa.string()), *fields])


def slides_schema() -> pa.Schema:
    """The columns of the view `slides`."""
    return pa.schema([pa.field(field.name, field.type) for field in arrow_schema("slides")])


def slide_vectors_schema() -> pa.Schema:
    """The columns of the view `slide_vectors`; vectors are lists, as widths differ by encoder."""
    path = [(name, pa.string()) for name in ("slide_encoder", "encoder", "tiling")]
    kinds = {"embedding": pa.list_(pa.float32())}
    fields = [pa.field(f.name, kinds.get(f.name, f.type)) for f in arrow_schema(SLIDE_VECTORS, 1)]
    return pa.schema([*path, *fields])


def select_slide_vectors(base: str) -> str:
    """SQL of all slide vectors; there must be one."""
    named = ("encoder AS slide_encoder", "tiles AS encoder", "tiling")
    columns = (quote_name(name) for name in arrow_schema(SLIDE_VECTORS, 1).names)
    return (
        f"SELECT {', '.join([*named, *columns])} FROM read_parquet("
        f"{_pattern(base, SLIDE_FILES)}, hive_partitioning = true, hive_types_autocast = false)"
    )


def quality_schema() -> pa.Schema:
    """The columns of the view `quality`."""
    fields = [pa.field(field.name, field.type) for field in arrow_schema(QUALITY)]
    return pa.schema([("tiling", pa.string()), *fields])


def select_quality(base: str) -> str:
    """SQL of all tables of artefacts; there must be one."""
    columns = (
        f"{null_if_nan(name)} AS {quote_name(name)}" if name in ARTEFACTS else quote_name(name)
        for name in quality_schema().names
    )
    return (
        f"SELECT {', '.join(columns)} FROM read_parquet({_pattern(base, QUALITY_FILES)}, "
        "hive_partitioning = true, hive_types_autocast = false)"
    )


def select_empty(name: str) -> str:
    """SQL of a view of every store where it holds nothing of the kind."""
    if name in TABLES:
        return select_nothing(table_schema(TABLES[name]))
    if name in CARDS:
        view = CARDS[name]
        fields = [(column, pa.string()) for column in view.names]
        nothing = select_nothing(pa.schema(fields)).removesuffix(" WHERE false")
        return f"{nothing}, NULL::JSON AS {quote_name(view.content)} WHERE false"
    schemas = {
        "embeddings": embeddings_schema,
        "slides": slides_schema,
        "runs": runs_schema,
        SLIDE_VECTORS: slide_vectors_schema,
        QUALITY: quality_schema,
    }
    return select_nothing(schemas[name]())


def select_tables(base: str, view: TableView, patterns: Sequence[str]) -> str:
    """SQL of all tables of one kind.

    Args:
        base: The store, as DuckDB names it.
        view: Which.
        patterns: As `TableView.choose_patterns` gives them.
    """
    schema = table_schema(view)
    nothing = select_nothing(schema)
    if not patterns:
        return nothing
    rows = f"{nothing} UNION ALL BY NAME {_select_files(base, patterns, view.names)}"
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    if not numbers:
        return rows
    return f"SELECT * {_replace_nan(numbers)} FROM ({rows})"


def select_predicted(base: str, table: str) -> str:
    """SQL of the tables of one name in all folders of predictions; there must be one."""
    return _select_files(base, [f"{PREDICTIONS}/*/*/{table}.parquet"], ("predictor", "run"))


def select_cards(base: str, view: CardView) -> str:
    """SQL of the JSON files of one kind; there must be one."""
    names = ", ".join(_folder(at, name) for at, name in _count_back(view.names))
    return (
        f"SELECT {names}, json AS {quote_name(view.content)} "
        f"FROM read_json_objects({_pattern(base, view.files)}, filename = true)"
    )


def select_runs(base: str) -> str:
    """SQL of the tables of all extractions; there must be one."""
    return (
        f"{select_nothing(runs_schema())} UNION ALL BY NAME "
        "SELECT parse_filename(filename, true) AS run_id, "
        f"* EXCLUDE (filename) FROM read_parquet({_pattern(base, f'{RUNS}/*.parquet')}, "
        "filename = true, hive_partitioning = false, union_by_name = true)"  # older ones have less
    )


def select_partitions(base: str, labelled: bool) -> str:
    """SQL of all tiles of Parquet partitions; there must be one.

    Args:
        base: The store, as DuckDB names it.
        labelled: Whether some may have labels: columns are those of the first file unless all
            files are asked, which takes a look at each.
    """
    return (
        f"SELECT * {replace_nan()} FROM read_parquet("
        f"{_pattern(base, 'embeddings/*/*/*.parquet')}, "
        "hive_partitioning = true, hive_types_autocast = false, "
        f"union_by_name = {str(labelled).lower()})"
    )


def replace_nan(excluded: str = "") -> str:
    """SQL after the `*` of a selection from Parquet partitions: what is NaN there is NULL.

    Args:
        excluded: Column that is left out.
    """
    without = f"EXCLUDE ({quote_name(excluded)}) " if excluded else ""
    return without + _replace_nan(MEASURED)


def _replace_nan(names: Iterable[str]) -> str:
    parts = (f"{null_if_nan(name)} AS {quote_name(name)}" for name in names)
    return f"REPLACE ({', '.join(parts)})"


def null_if_nan(name: str) -> str:
    """SQL of a column of numbers whose NaN are NULL.

    Statistics of Parquet say nothing of NaN, so DuckDB takes a comparison with NaN, or `isnan`, for
    false wherever a file has a least and a greatest number; `isfinite` it does ask of every row.
    """
    column = quote_name(name)
    return f"CASE WHEN isfinite({column}) OR isinf({column}) THEN {column} END"


def create_view(name: str, query: str) -> str:
    """SQL that makes a view, or makes it anew."""
    return f"CREATE OR REPLACE VIEW {quote_name(name)} AS {query}"


def _select_files(base: str, patterns: Sequence[str], names: Sequence[str]) -> str:
    folders = ", ".join(_folder(at, name) for at, name in _count_back(names))
    known = ", ".join(quote_text(name) for name in [*names, "filename"])
    return (
        f"SELECT {folders}, COLUMNS(lambda c: c NOT IN ({known})) "
        f"FROM read_parquet([{', '.join(_pattern(base, files) for files in patterns)}], "
        "filename = true, hive_partitioning = false, union_by_name = true)"
    )


def _count_back(names: Sequence[str]) -> list[tuple[int, str]]:
    """Names of folders with where they stand in a path, from its end."""
    return [(at - len(names) - 1, name) for at, name in enumerate(names)]


def _folder(at: int, name: str) -> str:
    return f"parse_path(filename)[{at}] AS {quote_name(name)}"


def _pattern(base: str, files: str) -> str:
    return quote_text(f"{escape_path(base)}/{files}")
