"""Pooled vectors as a DataFrame, with a warning on what was left out."""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from histo_ray.pooling.pooled_cache import By, PooledTable
from histo_ray.store.catalog import name_some

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


class LeftOut(NamedTuple):
    """Names of what has no vector, each sorted."""

    empty: list[str]
    """Slides without tiles."""
    filtered: list[str]
    """Slides of whose tiles a condition keeps none."""
    unweighed: list[str]
    """Slides without class probabilities."""
    weightless: list[str]
    """Slides or patients with tiles, but none of any weight."""


def make_frame(table: PooledTable, by: By, lost: LeftOut) -> "pd.DataFrame":
    """Make the DataFrame of `pool_partitions`.

    Args:
        table: Vectors of slides or patients.
        by: Which of both.
        lost: What has none.
    """
    import pandas as pd

    absent = {label: list(names) for label, names in table.receipt.absent_classes.items()}
    infinite = [
        name
        for name, row in zip(table.names, table.values, strict=True)
        if not np.isfinite(row).all()
    ]
    for found, names in {
        "slides without tiles are left out": lost.empty,
        f"no tile {table.receipt.facts.where}, so slides are left out": lost.filtered,
        "slides without class probabilities are left out": lost.unweighed,
        f"{by}s without any weight are left out": lost.weightless,
        f"not finite, so store verify will tell why: {by}s": infinite,
        **{
            f"no tile of class {label}, so the mean of all tiles in its place": names
            for label, names in absent.items()
        },
    }.items():
        if names:
            _log.warning("matrix: %s: %s", found, name_some(names))
    frame = pd.DataFrame(table.values, index=pd.Index(table.names, name=f"{by}_id", dtype="str"))
    frame.attrs["empty_slides"] = lost.empty
    frame.attrs["filtered_slides"] = lost.filtered
    frame.attrs["left_out"] = lost.weightless
    frame.attrs["absent_classes"] = absent
    frame.attrs["slides_without_classes"] = lost.unweighed
    frame.attrs["receipt"] = table.receipt.facts.model_dump()
    return frame
