"""Folds as a table: written for every run, and read where folds are given."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.cohort.folds import (
    GIVEN,
    Folds,
    check_training,
    find_distinct,
)
from histo_ray.errors import ConfigError
from histo_ray.schema import arrow_schema, column_names
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.storage.native import native
from histo_ray.text import name_some

MOST_BYTES = 2**30
"""Largest file of folds that is read."""


def tabulate_folds(
    folds: Folds, items: Sequence[str], numbers: Sequence[int] | None = None
) -> pa.Table:
    """Tabulate folds as `schemas/folds.json` describes, repeat by repeat.

    Args:
        folds: Folds of N items.
        items: (N,) their names.
        numbers: (R,) number of each repeat; None: from 0 on.
    """
    count = folds.repeats
    own = np.arange(count) if numbers is None else np.asarray(numbers)
    columns = {
        "item": pa.concat_arrays([pa.array(items, pa.string())] * count),
        "group": pa.concat_arrays([pa.array(folds.groups or [""] * len(items))] * count),
        "repeat": np.repeat(own.astype(np.int32), len(items)),
        "fold": folds.fold_ids.ravel(),
        "seed": np.repeat(np.asarray(folds.seeds, np.int64), len(items)),
    }
    return pa.table({name: columns[name] for name in column_names("folds")}, arrow_schema("folds"))


def read_fold_file(uri: str) -> pa.Table:
    """Read the table that `--fold-file` names, local or in an object store.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return pq.read_table(native(read_file(*locate(uri), MOST_BYTES)))
    except (OSError, pa.ArrowInvalid) as error:
        text = str(error).partition("\n")[0]
        raise ConfigError(
            f"--fold-file {uri}: cannot be read as Parquet ({text}); give the folds.parquet of a "
            "run, or a Parquet file with the columns item, repeat and fold"
        ) from None


def parse_folds(
    table: pa.Table,
    items: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    origin: str = "folds",
) -> Folds:
    """Read folds that were given as a table, and check that they fit the items.

    A repeat that splits the items as an earlier one does is left out.

    Args:
        table: Columns item, repeat and fold, and seed where it is known. A column target must
            name one target at most.
        items: (N,) names of the items, each once.
        labels: (N,) their classes.
        groups: (N,) what must stay in one fold.
        origin: Where the table came from, for messages.

    Raises:
        ConfigError: Everything that is wrong with it, in one line.
    """
    by_target = split_targets(table, origin)
    if len(by_target) > 1:
        names = sorted(by_target)
        raise ConfigError(
            f"{origin}: has folds for each of {len(names)} genes ({name_some(names)}), but here "
            "all targets share their folds; give a file without the column target"
        )
    (frame,) = by_target.values()
    given = parse_repeats(frame, items, groups, origin)
    distinct = find_distinct(given.fold_ids)
    seeds = tuple(s for s, keep in zip(given.seeds, distinct, strict=True) if keep)
    kept = None if groups is None else tuple(groups)
    folds = Folds(given.fold_ids[distinct], given.n_folds, seeds, kept)
    check_training(folds, labels)
    return folds


class GivenFolds(NamedTuple):
    """Folds of a table, with the numbers that it gives its repeats."""

    fold_ids: npt.NDArray[np.int32]
    """(R, N)."""
    n_folds: int
    seeds: tuple[int, ...]
    """(R,)."""
    numbers: tuple[int, ...]
    """(R,) of the repeats in the table."""


def split_targets(table: pa.Table, origin: str) -> dict[str, pd.DataFrame]:
    """Split a table of folds by target; under "" where targets share their folds.

    Raises:
        ConfigError: A column is missing, or empty in some row.
    """
    needed = ["item", "repeat", "fold"]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise ConfigError(
            f"{origin}: no column {', '.join(missing)}; a table of folds has item, repeat and fold"
        )
    frame = table.to_pandas()
    empty = int(frame[needed].isna().any(axis=1).sum())
    if empty or not len(frame):
        told = f"{empty} rows without" if empty else "no row with"
        raise ConfigError(f"{origin}: {told} item, repeat or fold; every row needs all three")
    frame["item"] = frame["item"].astype(str)
    if "target" not in frame.columns:
        return {"": frame}
    targets = frame["target"].fillna("").astype(str)
    return {str(name): rows for name, rows in frame.groupby(targets, sort=False)}


def parse_repeats(
    frame: pd.DataFrame, items: Sequence[str], groups: Sequence[str] | None, origin: str
) -> GivenFolds:
    """Read the folds of one target, or of all that share them.

    Args:
        frame: From `split_targets`.
        items: (N,) names of the items, each once.
        groups: (N,) what must stay in one fold.
        origin: Where the table came from, for messages.

    Raises:
        ConfigError: Everything that is wrong with it, in one line.
    """
    row = frame["item"].map({item: number for number, item in enumerate(items)})
    if row.isna().all():
        raise ConfigError(
            f"{origin}: none of its items ({name_some(sorted(set(frame['item'])))}) is evaluated "
            f"here ({name_some(sorted(items))}); it is the fold file of other data"
        )
    problems = []
    if row.isna().any():
        unknown = sorted(set(frame["item"][row.isna()]))
        problems.append(
            f"{len(unknown)} of its items are not evaluated here ({name_some(unknown)})"
        )
    known = frame[row.notna()].assign(row=row[row.notna()].astype(int))
    twice = known[known.duplicated(["row", "repeat"])]
    if len(twice):
        problems.append(f"items stand twice in a repeat ({name_some(sorted(set(twice['item'])))})")
        known = known.drop_duplicates(["row", "repeat"])
    numbers, repeat = np.unique(known["repeat"], return_inverse=True)
    names, fold = np.unique(known["fold"], return_inverse=True)
    fold_ids = np.full((len(numbers), len(items)), -1, np.int32)
    fold_ids[repeat, known["row"]] = fold
    if (fold_ids < 0).any():
        lost = [items[int(at)] for at in np.flatnonzero((fold_ids < 0).any(axis=0))]
        problems.append(f"{len(lost)} items lack a fold in some repeat ({name_some(lost)})")
    elif len(names) < 2 or any(len(np.unique(ids)) != len(names) for ids in fold_ids):
        problems.append(
            f"{len(names)} folds, or not the same in each repeat; each repeat needs the same two "
            "or more"
        )
    split = [] if groups is None else _split_groups(fold_ids, groups)
    if split:
        problems.append(f"{len(split)} groups lie in two folds ({name_some(split)})")
    if problems:
        raise ConfigError(
            f"{origin}: {'; '.join(problems)}; correct the file, or leave --fold-file out and "
            "folds are drawn"
        )
    seeds = [GIVEN] * len(numbers)
    if "seed" in known.columns:
        first = known.drop_duplicates("repeat").set_index("repeat")["seed"].fillna(GIVEN)
        seeds = [int(first[number]) for number in numbers]
    return GivenFolds(fold_ids, len(names), tuple(seeds), tuple(int(n) for n in numbers))


def _split_groups(fold_ids: npt.NDArray[np.int32], groups: Sequence[str]) -> list[str]:
    names, group = np.unique(np.asarray(groups, str), return_inverse=True)
    first = np.zeros(len(names), int)
    first[group[::-1]] = np.arange(len(group))[::-1]
    apart = (fold_ids != fold_ids[:, first[group]]).any(axis=0)
    return sorted({str(names[at]) for at in group[apart]})
