"""One vector a slide or patient, from the tiles of a store; cached as a table in the store."""

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.config import digest
from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.catalog import FORMATS, Partitions, name_some, read_receipts
from histo_ray.store.layout import CACHE, partition_path
from histo_ray.store.place import Place
from histo_ray.store.pooling import (
    Moments,
    Pool,
    check_pool,
    measure_block,
    merge_moments,
    pool_median,
    pool_moments,
)
from histo_ray.store.publish import write_bytes
from histo_ray.types import PartitionKey, Receipt

if TYPE_CHECKING:
    import pandas as pd

CACHE_VERSION = 1
"""Raised whenever the same vectors are pooled to other numbers."""

By = Literal["slide", "patient"]
Groups = dict[str, list[PartitionKey]]

_log = logging.getLogger(__name__)


def pool_partitions(root: Place, partitions: Partitions, pool: Pool, by: By) -> "pd.DataFrame":
    """Pool the tiles of each slide, or of all slides of each patient together.

    Args:
        root: The store.
        partitions: Those of one encoder and tiling.
        pool: `mean`, `std` (of the tiles, ddof 0), `mean+std` (side by side), `max`, `median`.
        by: `slide` or `patient`.

    Returns:
        float32, index slide_id or patient_id in sorted order. Slides without tiles are left out
        and named in `attrs["empty_slides"]`.

    Raises:
        ConfigError: Another `pool` or `by`.
        StoreError: The partitions do not go together, or cannot be read.
    """
    check_pool(pool)
    if by not in ("slide", "patient"):
        raise ConfigError(f"by: {by!r}, wanted slide or patient; choose one")
    receipts = read_receipts(root, partitions)
    _check_alike(root, receipts)
    full = {key: receipt for key, receipt in receipts.items() if receipt.tile_count}
    groups: Groups = {}
    for key, receipt in full.items():
        name = receipt.slide.patient_id if by == "patient" else key.slide_id
        groups.setdefault(name, []).append(key)
    groups = dict(sorted(groups.items()))
    empty = sorted(key.slide_id for key in receipts.keys() - full)
    if not groups:
        dim = max(receipt.encoder.dim for receipt in receipts.values())
        width = dim * 2 if pool == "mean+std" else dim
        return _to_frame(np.empty((0, width), np.float32), [], by, empty)
    cached = f"{CACHE}/matrix/{_digest_request(full, groups, pool, by)}.parquet"
    values = _read_cached(root.child(cached), list(groups))
    if values is None:
        values = _pool_groups(root, partitions, groups, pool)
        write_bytes(root, cached, _to_parquet(values, list(groups)))
    return _to_frame(values, list(groups), by, empty)


def _to_frame(
    values: npt.NDArray[np.float32], names: list[str], by: By, empty: list[str]
) -> "pd.DataFrame":
    import pandas as pd

    if empty:
        _log.warning("matrix: slides without tiles are left out: %s", name_some(empty))
    frame = pd.DataFrame(values, index=pd.Index(names, name=f"{by}_id", dtype="str"))
    frame.attrs["empty_slides"] = empty
    return frame


def _check_alike(root: Place, receipts: dict[PartitionKey, Receipt]) -> None:
    weights = {(r.encoder.weights_sha256, r.encoder.dim) for r in receipts.values()}
    if len(weights) > 1:
        found = " and ".join(sorted(f"{sha[:12]} ({dim})" for sha, dim in weights))
        raise StoreError(
            f"store {root.path}: partitions of weights {found} under one name, "
            "wanted one; find them with store verify and extract them again"
        )


def _digest_request(full: dict[PartitionKey, Receipt], groups: Groups, pool: Pool, by: By) -> str:
    used = [
        [name, *key, full[key].vectors_sha256, full[key].tile_count]
        for name, keys in groups.items()
        for key in keys
    ]
    return digest({"version": CACHE_VERSION, "pool": pool, "by": by, "partitions": used})


def _pool_groups(
    root: Place, partitions: Partitions, groups: Groups, pool: Pool
) -> npt.NDArray[np.float32]:
    """Pool each group. Memory: some blocks of rows; for the median all tiles of one group."""

    def pool_group(keys: list[PartitionKey]) -> npt.NDArray[np.float32]:
        places = [
            (partitions[key], root.child(partition_path(key, partitions[key]))) for key in keys
        ]
        if pool == "median":
            return pool_median([FORMATS[form].read_bag(place)[1] for form, place in places])
        blocks = (
            measure_block(rows.embeddings)
            for form, place in places
            for rows in FORMATS[form].read_rows(place)
        )
        moments: Moments = merge_moments(blocks)
        return pool_moments(moments, pool)

    with ThreadPoolExecutor(1 if pool == "median" else 4) as threads:
        return np.stack(list(threads.map(pool_group, groups.values())))


def _to_parquet(values: npt.NDArray[np.float32], names: list[str]) -> bytes:
    width = values.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
    sink = io.BytesIO()
    pq.write_table(pa.table({"name": pa.array(names, pa.string()), "vector": vectors}), sink)
    return sink.getvalue()


def _read_cached(place: Place, names: list[str]) -> npt.NDArray[np.float32] | None:
    """A cached matrix; None if there is none, or it is not what it should be."""
    if not place.kind():
        return None
    try:
        table = pq.read_table(io.BytesIO(place.read_bytes()), page_checksum_verification=True)
        if table["name"].to_pylist() != names:
            return None
        flat = table["vector"].combine_chunks().flatten().to_numpy()
    except (OSError, KeyError, pa.ArrowException):  # derived, so made again
        return None
    values: npt.NDArray[np.float32] = flat.reshape(len(names), -1)
    return values
