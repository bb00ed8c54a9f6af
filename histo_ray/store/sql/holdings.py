"""Which files of tables and cards a store holds, so that views of none are empty, not errors."""

import re

from histo_ray.store.location import Location
from histo_ray.store.sql.listed_views import PREDICTIONS

_TABLE = re.compile(r"[A-Za-z0-9_]+")
"""Names of tables that become part of a view's name; others are read by their path."""


def has_files(root: Location, pattern: str) -> bool:
    """Whether a file below the store fits a pattern of as many folders."""
    return bool(list_fitting(root, pattern))


def list_fitting(root: Location, pattern: str) -> list[str]:
    """Files below the store, relative to it and sorted, that fit a pattern.

    Args:
        root: The store.
        pattern: As `evaluations/*/*/scores.parquet`; `*` stands for any part of one name.
    """
    fits = re.compile(re.escape(pattern).replace(r"\*", "[^/]*"))
    top = pattern.partition("/")[0]
    paths = [info.path.removeprefix(f"{root.path}/") for info in root.child(top).walk()]
    return sorted(path for path in paths if fits.fullmatch(path))


def list_predicted(root: Location) -> list[str]:
    """Names of the tables that `predict` has written: `patients`, `tiles`, ..."""
    stems = {
        path.rpartition("/")[2].removesuffix(".parquet")
        for path in list_fitting(root, f"{PREDICTIONS}/*/*/*.parquet")
    }
    return sorted(stem for stem in stems if _TABLE.fullmatch(stem))
