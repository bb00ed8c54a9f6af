"""Pooled vectors as a DataFrame, with what was left out."""

import logging
from typing import TYPE_CHECKING

import numpy as np

from histo_ray.pooling.pooled_cache import By, PooledTable
from histo_ray.store.catalog import name_some

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger("histo_ray.pooling.matrix")


def to_frame(
    table: PooledTable, by: By, empty: list[str], unweighed: list[str], left_out: list[str]
) -> "pd.DataFrame":
    """Make the table that `pool_partitions` returns, and warn of what was left out."""
    import pandas as pd

    absent = {label: list(names) for label, names in table.receipt.absent_classes.items()}
    infinite = [
        name
        for name, row in zip(table.names, table.values, strict=True)
        if not np.isfinite(row).all()
    ]
    for found, names in {
        "slides without tiles are left out": empty,
        "slides without class probabilities are left out": unweighed,
        f"{by}s without any weight are left out": left_out,
        f"not finite, so store verify will tell why: {by}s": infinite,
        **{
            f"no tile of class {label}, so the mean of all tiles in its place": names
            for label, names in absent.items()
        },
    }.items():
        if names:
            _log.warning("matrix: %s: %s", found, name_some(names))
    frame = pd.DataFrame(table.values, index=pd.Index(table.names, name=f"{by}_id", dtype="str"))
    frame.attrs["empty_slides"] = empty
    frame.attrs["left_out"] = left_out
    frame.attrs["absent_classes"] = absent
    frame.attrs["slides_without_classes"] = unweighed
    frame.attrs["receipt"] = table.receipt.facts.model_dump()
    return frame
