"""Choose the tiles of slides that a condition keeps."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.errors import StoreError
from histo_ray.store.catalog import FORMATS, Partitions
from histo_ray.store.layout import Form, is_given, is_imported, partition_path
from histo_ray.store.location import THREADS, Location
from histo_ray.store.measures import read_measures
from histo_ray.store.replaced import replaced
from histo_ray.store.tile_filter import MEASURES, OWN_COLUMNS, TileFilter, parse_where
from histo_ray.text import count_of, name_some
from histo_ray.types import ChosenReceipt, KeptTiles, PartitionKey, Receipt, TileRows

Column = npt.NDArray[np.generic]


def choose_tiles(
    root: Location,
    partitions: Partitions,
    receipts: Mapping[PartitionKey, Receipt],
    where: str | None,
) -> dict[PartitionKey, Receipt]:
    """Reduce receipts to the tiles that a condition keeps.

    Args:
        root: The store.
        partitions: Form of each.
        receipts: Of partitions; those of empty slides stay as they are.
        where: The condition; None: all tiles are kept, and the receipts stay as they are.

    Returns:
        In the same order. A slide of which no tile is kept has 0 tiles and says why.

    Raises:
        ConfigError: No condition, or of columns that tiles do not have.
        StoreError: Slides whose tiles were never measured so; says what to do. Or unreadable.
    """
    if where is None:
        return dict(receipts)
    condition = parse_where(where)
    full = {key: receipt for key, receipt in receipts.items() if receipt.tile_count}
    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        found = pool.map(
            lambda key: _read_columns(root, key, partitions[key], full[key], condition), full
        )
        columns = dict(zip(full, found, strict=True))
    _check_measured(root, columns, condition)
    chosen = dict(receipts)
    for key, own in columns.items():
        kept = keep_rows(condition.find_rows(own), full[key].tile_count)
        chosen[key] = narrow_receipt(full[key], kept, condition.text)
    return chosen


def keep_rows(rows: npt.NDArray[np.int64], whole: int) -> KeptTiles:
    """Describe the tiles that are kept of a partition.

    Args:
        rows: (n,) tile_ids, ascending.
        whole: Tiles of the partition.
    """
    return KeptTiles(rows, whole, digest([whole, rows.tolist()]))


def narrow_receipt(receipt: Receipt, kept: KeptTiles, where: str) -> ChosenReceipt:
    """Reduce the receipt of a whole partition to some of its tiles."""
    values = {name: getattr(receipt, name) for name in Receipt.model_fields}
    values |= {
        "tile_count": len(kept.rows),
        "columns_sha256": digest([receipt.columns_sha256, kept.sha256]),
        "empty_reason": "" if len(kept.rows) else f"none of {count_of(kept.whole, 'tile')} {where}",
    }
    return ChosenReceipt.model_construct(**values, kept=kept)


def list_columns(receipt: Receipt) -> tuple[str, ...]:
    """Columns of a partition's tiles that conditions may name."""
    return OWN_COLUMNS if is_given(receipt.tiling.fingerprint) else (*OWN_COLUMNS, *MEASURES)


def _read_columns(
    root: Location, key: PartitionKey, form: Form, receipt: Receipt, condition: TileFilter
) -> dict[str, Column]:
    """Read the columns that a condition names; those that nobody measured are nan throughout."""
    location = root.child(partition_path(key, form))
    own = FORMATS[form].read_columns(location)
    if len(own) != receipt.tile_count:
        raise replaced(location.path)
    columns = _list_own(own)
    asked = [name for name in condition.columns if name in MEASURES]
    if asked:
        columns |= read_measures(root, key, own.coords, asked)
    return {name: columns[name] for name in condition.columns}


def _list_own(rows: TileRows) -> dict[str, Column]:
    return {
        "tile_id": np.arange(len(rows)),
        "x": rows.coords[:, 0],
        "y": rows.coords[:, 1],
        "tissue": rows.tissue,
        "focus": rows.focus,
    }


def _check_measured(
    root: Location, columns: Mapping[PartitionKey, Mapping[str, Column]], condition: TileFilter
) -> None:
    """Refuse to drop every tile of a slide only because nobody measured it.

    Raises:
        StoreError: A column is unknown of all tiles of a slide.
    """
    for name in condition.columns:
        if name in condition.may_be_null:
            continue
        lacking = [key for key, own in columns.items() if np.isnan(own[name]).all()]
        if lacking:
            slides = name_some(sorted({key.slide_id for key in lacking}))
            raise StoreError(
                f"where {condition.text!r}: {count_of(len(lacking), 'slide')} of {len(columns)} "
                f"of encoder {lacking[0].encoder} without a value of {name} ({slides}); "
                f"{_name_remedy(root, name, lacking)}"
            )


def _name_remedy(root: Location, name: str, keys: Iterable[PartitionKey]) -> str:
    tiling = next(iter(keys)).tiling
    if name in MEASURES and not is_given(tiling):
        pixels = " --pixels" if name == "blur" else ""
        return (
            f"measure them with `histo-ray store measure {root.path}{pixels}`, which encodes "
            f"nothing, or allow for it with `or {name} is null`"
        )
    why = "another tool made these features" if is_imported(tiling) else "tile sets have no slide"
    return f"{why}, so it cannot be known: leave {name} out, or add `or {name} is null`"
