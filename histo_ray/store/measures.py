"""Tables of what was measured of tiles beside their partitions: one a slide and tiling.

They belong to tiles, not to an encoder, so they can be added to a store whose slides are encoded,
and partitions stay as they are. A table holds the coords of its tiles, which are held against those
of the partition whenever it is read.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from histo_ray._version import __version__
from histo_ray.errors import StoreError, UnreachableError
from histo_ray.schema import arrow_schema
from histo_ray.store.arrow_columns import number_column, repeated_text
from histo_ray.store.layout import QUALITY, check_file_name, check_slug
from histo_ray.store.location import Location
from histo_ray.store.partition import RECEIPT_KEY
from histo_ray.store.tables import TableFolder
from histo_ray.types import PartitionKey

MEASURES_VERSION = 1
"""Raised whenever the same pixels are measured otherwise; older tables are then measured anew."""


class DamagedMeasuresError(StoreError):
    """A table of measures is not as it was written; measuring the slide makes it again."""


Column = npt.NDArray[np.float32]


class MeasureReceipt(BaseModel):
    """What a table of measures says of itself, under the key `histo_ray` of its metadata."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = MEASURES_VERSION
    slide_id: str
    fingerprint: str
    """Of the slide's file, as in the receipts of its partitions."""
    tiling: str
    overview_mpp: tuple[float, float]
    """(x, y) microns per px of the overview that ink and folds were found on."""
    pixels: bool = False
    """Whether the tiles' own pixels were read, which `blur` takes."""
    library_version: str = __version__
    created_at: str = ""


def write_measures(
    root: Location,
    receipt: MeasureReceipt,
    coords: npt.NDArray[np.int32],
    measures: Mapping[str, Column],
) -> None:
    """Write the table of one slide, or write it anew, whole or not at all.

    Args:
        root: The store.
        receipt: Of the table.
        coords: (N, 2) top-left (x, y) of all tiles, level-0 px.
        measures: (N,) of each column of `schemas/quality.json`; those that are left out are nan.
    """
    schema = arrow_schema("quality")
    count = len(coords)
    columns = {
        "slide_id": repeated_text(receipt.slide_id, count),
        "tile_id": number_column(np.arange(count, dtype=np.int32)),
        "x": number_column(coords[:, 0].astype(np.int32)),
        "y": number_column(coords[:, 1].astype(np.int32)),
    }
    nothing = np.full(count, np.nan, np.float32)
    for name in schema.names:
        if name not in columns:
            columns[name] = number_column(measures.get(name, nothing).astype(np.float32))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = receipt.model_copy(update={"created_at": now}).model_dump_json()
    described = schema.with_metadata({RECEIPT_KEY: said})
    table = pa.table([columns[name] for name in schema.names], schema=described)
    _folder(root, receipt.tiling).write(receipt.slide_id, [table], described)


def read_measures(
    root: Location, key: PartitionKey, coords: npt.NDArray[np.int32], names: Iterable[str]
) -> dict[str, npt.NDArray[np.generic]]:
    """Read some measures of the tiles of a partition; nan throughout where there is no table.

    Args:
        root: The store.
        key: The partition; of its encoder nothing depends.
        coords: (N, 2) of its tiles.
        names: Columns.

    Raises:
        StoreError: The table is damaged, or of other tiles.
    """
    table = _read(root, key.tiling, key.slide_id)
    if table is None:
        return {name: np.full(len(coords), np.nan, np.float32) for name in names}
    there = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    if not np.array_equal(there, coords):
        raise StoreError(
            f"{measures_path(key.tiling, key.slide_id)}: measured on other tiles than slide "
            f"{key.slide_id!r} has now; measure it again with `histo-ray store measure "
            f"{root.path} --again`"
        )
    return {name: table[name].to_numpy() for name in names}


def read_measure_receipt(root: Location, tiling: str, slide_id: str) -> MeasureReceipt | None:
    """Read what the table of a slide says of itself; None where there is none, or a newer one.

    Raises:
        StoreError: It is damaged.
    """
    table = _read(root, tiling, slide_id)
    if table is None:
        return None
    try:
        return MeasureReceipt.model_validate_json(table.schema.metadata[RECEIPT_KEY.encode()])
    except (KeyError, TypeError, ValidationError):
        return None


def measures_path(tiling: str, slide_id: str) -> str:
    """Path of the table of a slide, relative to the store."""
    return f"{_name_folder(tiling)}/{check_file_name('slide_id', slide_id)}.parquet"


def _read(root: Location, tiling: str, slide_id: str) -> pa.Table | None:
    path = measures_path(tiling, slide_id)
    if not root.child(path).kind():
        return None
    try:
        return _folder(root, tiling).read(slide_id)
    except UnreachableError:
        raise
    except StoreError as error:
        what = str(error).partition("; delete")[0]
        raise DamagedMeasuresError(
            f"{what}; histo-ray store measure {root.path} makes it again, with --pixels if it held "
            "blur"
        ) from None


def _folder(root: Location, tiling: str) -> TableFolder:
    return TableFolder(root, _name_folder(tiling))


def _name_folder(tiling: str) -> str:
    return f"{QUALITY}/tiling={check_slug('tiling', tiling)}"
