"""Folds as a table: written for every run, and read where somebody gives their own."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.cohort.folds import GIVEN, Folds, check_training, name_some
from histo_ray.errors import ConfigError
from histo_ray.schema import arrow_schema, column_names
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.storage.native import native

MOST_BYTES = 2**30
"""Of a file of folds."""


def tabulate_folds(folds: Folds, items: Sequence[str]) -> pa.Table:
    """The folds as a table of `schemas/folds.json`, repeat by repeat.

    Args:
        folds: Of N items.
        items: (N,) their names.
    """
    count = folds.repeats
    columns = {
        "item": pa.concat_arrays([pa.array(items, pa.string())] * count),
        "group": pa.concat_arrays([pa.array(folds.groups or [""] * len(items))] * count),
        "repeat": np.repeat(np.arange(count, dtype=np.int32), len(items)),
        "fold": folds.parts.ravel(),
        "seed": np.repeat(np.asarray(folds.seeds, np.int64), len(items)),
    }
    return pa.table({name: columns[name] for name in column_names("folds")}, arrow_schema("folds"))


def read_fold_file(uri: str) -> pa.Table:
    """The table that `--fold-file` names, local or in an object store.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return pq.read_table(native(read_file(*locate(uri), MOST_BYTES)))
    except (OSError, pa.ArrowInvalid) as error:
        text = str(error).partition("\n")[0]
        raise ConfigError(
            f"--fold-file {uri}: cannot be read ({text}), wanted Parquet; check it"
        ) from None


def parse_folds(
    table: pa.Table,
    items: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    origin: str = "folds",
) -> Folds:
    """Folds that were given as a table, checked against the items that are to be judged.

    Args:
        table: With the columns item, repeat and fold, and seed where it is known.
        items: (N,) names of the items, each once.
        labels: (N,) their classes.
        groups: (N,) what must stay in one fold.
        origin: Where the table came from, for messages.

    Raises:
        ConfigError: Everything that is wrong with it, in one line.
    """
    missing = {"item", "repeat", "fold"} - set(table.column_names)
    if missing:
        raise ConfigError(
            f"{origin}: no column {', '.join(sorted(missing))}, wanted item, repeat and fold; "
            "name them so"
        )
    place = {item: number for number, item in enumerate(items)}
    frame = table.to_pandas()
    row = frame["item"].astype(str).map(place)
    problems = []
    if row.isna().any():
        unknown = sorted(set(frame["item"].astype(str)[row.isna()]))
        problems.append(f"{len(unknown)} unknown items ({name_some(unknown)})")
    known = frame[row.notna()].assign(row=row[row.notna()].astype(int))
    if known.duplicated(["row", "repeat"]).any():
        twice = known[known.duplicated(["row", "repeat"])]
        problems.append(f"items twice in a repeat ({name_some(sorted(set(twice['item'])))})")
        known = known.drop_duplicates(["row", "repeat"])
    numbers, repeat = np.unique(known["repeat"], return_inverse=True)
    names, fold = np.unique(known["fold"], return_inverse=True)
    parts = np.full((len(numbers), len(items)), -1, np.int32)
    parts[repeat, known["row"]] = fold
    if (parts < 0).any() or not len(parts):
        lost = [items[int(at)] for at in np.flatnonzero((parts < 0).any(axis=0))] or list(items)
        problems.append(f"{len(lost)} items lack a fold in some repeat ({name_some(lost)})")
    elif len(names) < 2 or any(len(np.unique(part)) != len(names) for part in parts):
        problems.append(f"{len(names)} folds, or not the same in each repeat, wanted 2 or more")
    if groups is not None and len(parts):
        split = _split_groups(parts, groups)
        if split:
            problems.append(f"{len(split)} groups in two folds ({name_some(split)})")
    if problems:
        raise ConfigError(f"{origin}: {'; '.join(problems)}; mend the file or draw folds anew")
    seeds = [GIVEN] * len(numbers)
    if "seed" in known.columns:
        first = known.drop_duplicates("repeat").set_index("repeat")["seed"]
        seeds = [int(first[number]) for number in numbers]
    folds = Folds(parts, len(names), tuple(seeds), None if groups is None else tuple(groups))
    check_training(folds, labels)
    return folds


def _split_groups(parts: npt.NDArray[np.int32], groups: Sequence[str]) -> list[str]:
    names, group = np.unique(np.asarray(groups, str), return_inverse=True)
    first = np.zeros(len(names), int)
    first[group[::-1]] = np.arange(len(group))[::-1]
    apart = (parts != parts[:, first[group]]).any(axis=0)
    return sorted({str(names[at]) for at in group[apart]})
