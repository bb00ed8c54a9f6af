"""The views of a store as a script for any DuckDB: its program, another language, a dashboard."""

import pyarrow as pa

from histo_ray.store.catalog import list_partitions
from histo_ray.store.layout import QUALITY, RUNS, Form, is_given
from histo_ray.store.location import Location
from histo_ray.store.receipt_table import UNKNOWN
from histo_ray.store.sql.holdings import has_files, list_fitting, list_predicted
from histo_ray.store.sql.listed_views import (
    ABOUT,
    CARDS,
    PREDICTED,
    QUALITY_FILES,
    SLIDE_FILES,
    SLIDE_VECTORS,
    TABLES,
)
from histo_ray.store.sql.quoting import escape_path, quote_name, quote_text, sql_type
from histo_ray.store.sql.views import (
    create_view,
    select_cards,
    select_empty,
    select_partitions,
    select_predicted,
    select_quality,
    select_runs,
    select_slide_vectors,
    select_tables,
    slides_schema,
)

_RECEIPT = {
    "slide_id": "slide.slide_id",
    "patient_id": "slide.patient_id",
    "site": "slide.site",
    "n_tiles": "tile_count",
    "dim": "encoder.dim",
    "precision": "encoder.precision",
    "device": "encoder.device",
    "width": "slide.size_px[0]",
    "height": "slide.size_px[1]",
    "mpp_x": "slide.mpp[0]",
    "mpp_y": "slide.mpp[1]",
    "mpp_source": "slide.mpp_source",
    "tile_px": "tiling.settings.tile_px",
    "tile_mpp": "tiling.settings.mpp",
    "empty_reason": "empty_reason",
    "path": "slide.path",
}
"""Where a receipt says what the columns of `slides` are."""


def write_view_script(root: Location) -> str:
    """SQL that makes the views of a store in any DuckDB.

    It names the store's files by patterns, so new slides, runs and evaluations are seen without
    another script; views of kinds of which the store holds none yet are empty until it is written
    again. Zarr partitions have no vectors there, as DuckDB does not read Zarr.

    Args:
        root: The store.
    """
    base = root.path if root.local else f"{_scheme(root)}://{root.path}"
    partitions = list_partitions(root)
    forms = set(partitions.values())
    queries = {name: select_empty(name) for name in ABOUT}
    if "parquet" in forms:
        labelled = any(is_given(key.tiling) for key in partitions)
        queries["embeddings"] = select_partitions(base, labelled)
    for name, view in TABLES.items():
        patterns = view.choose_patterns(list_fitting(root, view.files))
        queries[name] = select_tables(base, view, patterns)
    queries |= {n: select_cards(base, v) for n, v in CARDS.items() if has_files(root, v.files)}
    if has_runs := has_files(root, f"{RUNS}/*.parquet"):
        queries[RUNS] = select_runs(base)
    if has_files(root, SLIDE_FILES):
        queries[SLIDE_VECTORS] = select_slide_vectors(base)
    if has_files(root, QUALITY_FILES):
        queries[QUALITY] = select_quality(base)
    if forms:
        queries["slides"] = _select_slides(base, forms, has_runs)
    for table in list_predicted(root):
        queries[f"{PREDICTED}{table}"] = select_predicted(base, table)
    lines = [f"-- Views of the feature store {base!r}: duckdb -init THIS_FILE"]
    if not root.local:
        lines.append("-- DuckDB reads object stores with its extension httpfs, and your secrets.")
    if "zarr" in forms:
        lines.append(
            "-- The store has Zarr partitions: they are in slides, not in embeddings "
            "(histo-ray store sql has them in both)."
        )
    order = sorted(queries, key=lambda name: name == "slides")  # which reads runs
    return "\n".join([*lines, *(f"{create_view(name, queries[name])};" for name in order), ""])


def _scheme(root: Location) -> str:
    return {"gcs": "gs"}.get(root.system.type_name, str(root.system.type_name))


def _select_slides(base: str, forms: set[Form], has_runs: bool) -> str:
    """SQL of the receipts of all partitions, corrected by the newest run that names a slide."""
    parts = []
    if "parquet" in forms:
        pattern = quote_text(f"{escape_path(base)}/embeddings/*/*/*.parquet")
        parts.append(
            "SELECT file_name AS file, 'parquet' AS form, decode(value)::JSON AS receipt "
            f"FROM parquet_kv_metadata({pattern}) WHERE key = 'histo_ray'"
        )
    if "zarr" in forms:
        pattern = quote_text(f"{escape_path(base)}/embeddings/*/*/*.zarr/zarr.json")
        parts.append(
            "SELECT parse_dirpath(filename) AS file, 'zarr' AS form, "
            "json->'$.attributes.histo_ray' AS receipt "
            f"FROM read_json_objects({pattern}, filename = true)"
        )
    receipts = (
        "SELECT receipt, form AS format, "
        "regexp_extract(parse_path(file)[-3], '^encoder=(.*)$', 1) AS encoder, "
        "regexp_extract(parse_path(file)[-2], '^tiling=(.*)$', 1) AS tiling "
        f"FROM ({' UNION ALL '.join(parts)})"
    )
    columns = ", ".join(_column(field) for field in slides_schema())
    slides = f"SELECT {columns} FROM ({receipts})"
    if len(forms) > 1:  # of a partition in both forms, Parquet is what is read
        rank = "row_number() OVER (PARTITION BY encoder, tiling, slide_id ORDER BY format)"
        slides = f"{slides} QUALIFY {rank} = 1"
    return _correct(slides) if has_runs else slides


def _column(field: pa.Field) -> str:
    """SQL of a column of `slides`, from a receipt."""
    name = quote_name(field.name)
    if field.name not in _RECEIPT:
        return name
    absent = "''" if field.type == pa.string() else "0"  # of receipts older than the entry
    value = f"(receipt->>'$.{_RECEIPT[field.name]}')::{sql_type(field.type)}"
    if field.name in UNKNOWN:
        return f"nullif({value}, 0) AS {name}"
    return f"coalesce({value}, {absent}) AS {name}"


def _correct(slides: str) -> str:
    """SQL of slides with patient and site as the newest run says that names them."""
    return (
        "WITH newest AS (SELECT slide_id, max_by(patient_id, run_id) AS patient FROM runs "
        "WHERE patient_id <> '' GROUP BY slide_id), stated AS (SELECT newest.slide_id, "
        "any_value(patient) AS patient, max_by(site, run_id) FILTER (site IS NOT NULL) AS site "
        "FROM newest JOIN runs ON runs.slide_id = newest.slide_id AND runs.patient_id = patient "
        "GROUP BY newest.slide_id) "
        "SELECT s.* REPLACE (coalesce(stated.patient, s.patient_id) AS patient_id, "
        "coalesce(stated.site, s.site) AS site) "
        f"FROM ({slides}) AS s LEFT JOIN stated USING (slide_id)"
    )
