"""The views of a store's tables and cards, as SQL over its files. Pure.

To add one: a line in `TABLES` or `CARDS`. Columns are those of `schemas/*.json`, so that a view of
what is not there yet has the columns it will have.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from histo_ray.schema import arrow_schema, optional_names
from histo_ray.store.layout import QUALITY, RUNS
from histo_ray.store.sql.quoting import escape_path, quote_name, quote_text, select_nothing
from histo_ray.store.tables import EVALUATIONS

PREDICTIONS = "predictions"
TILE_TASKS = ("tissue",)
"""Tasks whose tables have other columns of the same names than those of patients."""
OF_RUNS = ("task", "run")
"""Columns that the path of an evaluation's table says."""
MEASURED = ("tissue", "focus")
"""Columns of tiles that files hold as NaN where nobody measured them, and views as NULL, as all
numbers of tables: SQL takes NaN for the largest number, and a mean over one is NaN."""
ZARR = "zarr_embeddings"
"""Name of the view of Zarr partitions alone, where there are some that DuckDB asks for."""
SLIDE_VECTORS = "slide_vectors"
SLIDE_FILES = "slides/*/*/*/*.parquet"
"""Pattern of the files of slide vectors, relative to the store."""
QUALITY_FILES = f"{QUALITY}/*/*.parquet"
"""Pattern of the tables of artefacts, relative to the store."""
ARTEFACTS = ("ink", "fold", "blur")
PREDICTED = "predicted_"
"""How the names of views begin that are of tables of predictions: `predicted_patients`, ..."""


class TableView(NamedTuple):
    """A view of all tables of one kind."""

    about: str
    files: str
    """Pattern of its files, relative to the store."""
    schemas: tuple[str, ...]
    """Whose columns it has, of any task."""
    names: tuple[str, ...] = OF_RUNS
    """What the folders stand for that the pattern leaves open."""
    of_tiles: bool | None = None
    """Whether of tasks on tiles only, or of tasks on patients only; None: of all."""

    def choose_patterns(self, paths: Iterable[str]) -> list[str]:
        """Patterns that only files of its tasks fit, each with a file.

        Args:
            paths: All that fit `files`.
        """
        tasks = sorted({path.split("/")[1] for path in paths})
        if self.of_tiles is None:
            return [self.files] if tasks else []
        own = [task for task in tasks if (task in TILE_TASKS) == self.of_tiles]
        return [self.files.replace("*", escape_path(task), 1) for task in own]


class CardView(NamedTuple):
    """A view of JSON files, one row a file: the names its path says, and its content."""

    about: str
    files: str
    """Pattern of its files, relative to the store."""
    names: tuple[str, ...]
    """What the folders stand for that the pattern leaves open."""
    content: str
    """Column of the JSON."""


def _of_evaluations(file: str) -> str:
    return f"{EVALUATIONS}/*/*/{file}.parquet"


def _of_patients(about: str, file: str) -> TableView:
    return TableView(about, _of_evaluations(file), (f"outcome_{file}",))


def _of_validations(about: str, file: str) -> TableView:
    files = f"{PREDICTIONS}/*/*/*/{file}.parquet"
    return TableView(about, files, (f"external_{file}",), ("predictor", "run", "validation"))


TABLES = {
    "scores": TableView(
        "every fold", _of_evaluations("scores"), ("outcome_scores", "tissue_scores")
    ),
    "predictions": TableView(
        "every out-of-fold prediction of a patient",
        _of_evaluations("predictions"),
        ("outcome_predictions",),
        of_tiles=False,
    ),
    "tile_predictions": TableView(
        "every out-of-fold prediction of a tile",
        _of_evaluations("predictions"),
        ("tissue_predictions",),
        of_tiles=True,
    ),
    "members": TableView(
        "every member of a MIL head, on every fold", _of_evaluations("members"), ("mil_members",)
    ),
    "targets": TableView(
        "every target, with interval and test", _of_evaluations("targets"), ("outcome_targets",)
    ),
    "comparisons": TableView(
        "every pair of encoders",
        _of_evaluations("comparisons"),
        ("outcome_comparisons", "tissue_comparisons"),
    ),
    "survival": TableView(
        "every endpoint of survival", _of_evaluations("survival"), ("outcome_survival",)
    ),
    "survival_times": TableView(
        "every time that survival is scored at",
        _of_evaluations("survival_times"),
        ("outcome_survival_times",),
    ),
    "survival_curves": TableView(
        "Kaplan-Meier curves by out-of-fold risk",
        _of_evaluations("survival_curves"),
        ("outcome_survival_curves",),
    ),
    "endpoints": TableView(
        "the primary endpoint of every pair of encoders",
        _of_evaluations("endpoints"),
        ("outcome_endpoints",),
    ),
    "recalls": TableView(
        "recall of every class and fold", _of_evaluations("recalls"), ("tissue_recalls",)
    ),
    "summary": TableView(
        "every score on tiles, with interval", _of_evaluations("summary"), ("tissue_summary",)
    ),
    "folds": TableView("who is in which fold", _of_evaluations("folds"), ("folds",)),
    "cohorts": TableView(
        "who is evaluated, and why not", _of_evaluations("cohort"), ("outcome_cohort",)
    ),
    "classes": TableView(
        "how well each class of a label column is told",
        _of_evaluations("classes"),
        ("label_classes",),
    ),
    "confusion": TableView(
        "true by chosen classes of label columns",
        _of_evaluations("confusion"),
        ("label_confusion",),
    ),
    "subgroups": _of_patients("scores by site and subgroup", "subgroups"),
    "calibration": _of_patients("calibration of out-of-fold probabilities", "calibration"),
    "calibration_curves": _of_patients("bins of these", "calibration_curves"),
    "decision_curves": _of_patients("net benefit at every threshold", "decision_curves"),
    "site_prediction": _of_patients("how well encoders tell the site", "site_prediction"),
    "site_means": _of_patients("how well a site alone tells the target", "site_means"),
    "external_scores": _of_validations("scores of external validations", "scores"),
    "external_curves": _of_validations("curves of external validations", "curves"),
    "external_comparisons": _of_validations("pairs of predictors", "comparisons"),
}
CARDS = {
    "evaluations": CardView(
        "records of evaluations", f"{EVALUATIONS}/*/*/run.json", OF_RUNS, "record"
    ),
    "models": CardView("cards of published encoders", "models/*/model.json", ("name",), "card"),
    "predictors": CardView(
        "cards of published predictors", "predictors/*/predictor.json", ("name",), "card"
    ),
}
ABOUT = {
    "embeddings": "every tile with its vector, by encoder and tiling",
    "slides": "every slide, encoder and tiling, as receipts and the newest manifest say",
    "runs": "every slide and encoder of every extraction",
    SLIDE_VECTORS: "every slide vector of every slide encoder",
    QUALITY: "artefacts of every tile that was measured, by tiling",
    **{name: view.about for name, view in TABLES.items()},
    **{name: view.about for name, view in CARDS.items()},
}
"""What each view of every store has one row of."""


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
