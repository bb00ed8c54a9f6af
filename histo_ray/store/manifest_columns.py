"""Further columns of manifests, as extraction keeps them: labels of slides that nobody read yet.

Every run table says what its manifest has beside the columns that extraction reads. The newest run
that names a slide decides, as for patients and sites (`store.stated`).
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.store.layout import RUNS
from histo_ray.store.location import Location

COLUMN = "manifest"
"""Of run tables: a JSON object of texts by column; empty where there are no further columns."""


def pack_columns(extra: Mapping[str, Any]) -> str:
    """Pack the further cells of a slide's row; empty without any."""
    cells = {str(name): _write(value) for name, value in extra.items()}
    kept = {name: text for name, text in cells.items() if name and text and name != "synthetic"}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True) if kept else ""


def read_manifest_columns(root: Location) -> dict[str, dict[str, str]]:
    """Cells by column of each slide, by slide_id, as the newest run that names it says.

    A table that cannot be read is passed over; `read_runs` names it.
    """
    found: dict[str, dict[str, str]] = {}
    for name in root.child(RUNS).names():  # a run's id begins with the time of its start
        if not name.endswith(".parquet"):
            continue
        try:
            with root.child(f"{RUNS}/{name}").open() as file:
                parquet = pq.ParquetFile(file)
                if COLUMN not in parquet.schema_arrow.names:
                    continue
                table = parquet.read(columns=["slide_id", COLUMN])
        except (OSError, KeyError, pa.ArrowException):
            continue
        for slide, text in zip(*(table[c].to_pylist() for c in ("slide_id", COLUMN)), strict=True):
            if text:
                found[slide] = json.loads(text)
    return found


def _write(value: Any) -> str:
    """Write a cell as text; what is missing is empty."""
    if value is None or value != value:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()
