"""Folds of patients for expression and mutation; the same for every encoder. Pure.

Genes that are predicted all at once share their folds. A mutated gene has folds of its own, as each
fold needs its share of that gene's few positives.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.decomposition import PCA

from histo_ray.cohort.fold_table import (
    GivenFolds,
    parse_folds,
    parse_repeats,
    split_targets,
    tabulate_folds,
)
from histo_ray.cohort.folds import (
    GIVEN,
    Folds,
    check_training,
    draw_folds,
    draw_plain_folds,
    find_distinct,
)
from histo_ray.errors import ConfigError
from histo_ray.schema import arrow_schema
from histo_ray.text import name_some

Values = npt.NDArray[np.float64]
STRATA = 4
"""Number of strata along the main axis of expression; each fold gets its share of each."""


@dataclass(frozen=True)
class OutcomeFolds:
    """Repeated cross-validation of P patients for T targets."""

    fold_ids: npt.NDArray[np.int32]
    """(R, P) shared by all targets, or (T, R, P); there -1 where a patient has no label, and in all
    of a repeat that would equal an earlier one of the target."""
    n_folds: int
    seeds: tuple[int, ...]
    """One a repeat."""

    @property
    def repeats(self) -> int:
        """Distinct splits; a target with folds of its own may lack some of them."""
        return int(self.fold_ids.shape[-2])


def draw_shared_folds(
    values: Values, n_folds: int, repeats: int, seed: int, groups: Sequence[str]
) -> OutcomeFolds:
    """Draw folds that all genes share, stratified by the first principal component of expression.

    With fewer than two groups a fold and stratum they are drawn without strata.

    Args:
        values: (P, T) expression; nan where missing.
        n_folds: Folds of a repeat.
        repeats: Splits drawn; equal ones are left out.
        seed: Seed of the first repeat.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: Fewer patients or sites than folds.
    """
    strata = _stratify(values, min(STRATA, len(set(groups)) // n_folds))
    kept = _unless_single(groups)
    if len(set(strata)) < 2 or not _fills_folds(strata, groups, n_folds):
        folds = draw_plain_folds(n_folds, repeats, seed, len(values), kept)
    else:
        folds = draw_folds(strata, n_folds, repeats, seed, kept)
    return OutcomeFolds(folds.fold_ids, n_folds, folds.seeds)


def draw_target_folds(
    values: Values,
    targets: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str],
) -> OutcomeFolds:
    """Draw folds of each gene for itself, stratified by whether it is mutated.

    Args:
        values: (P, T) 0, 1, or nan where unknown.
        targets: (T,) names, for messages.
        n_folds: Folds of a repeat.
        repeats: Splits drawn for each gene; equal ones of a gene are left out.
        seed: Seed of the first repeat, for each gene.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: A gene with too few positives, or positives at too few sites.
    """

    def draw(own: Values, kept: Sequence[str] | None) -> Folds:
        labels = np.where(own > 0, "mutated", "wild type").tolist()
        return draw_folds(labels, n_folds, repeats, seed, kept)

    return draw_each("gene", values, targets, (n_folds, repeats, seed), groups, draw)


def draw_each(
    noun: str,
    values: Values,
    targets: Sequence[str],
    sizes: tuple[int, int, int],
    groups: Sequence[str],
    draw: Callable[[Values, Sequence[str] | None], Folds],
) -> OutcomeFolds:
    """Draw folds of each target for itself, of the patients that have a label.

    Args:
        noun: What a target is called in messages.
        values: (P, T); nan: no label.
        targets: (T,) names, for messages.
        sizes: Folds of a repeat, repeats, and the seed of the first repeat of each target.
        groups: (P,) patient, or site.
        draw: (N,) labels of a target and (N,) what is kept in one fold, or None where each patient
            is alone -> its folds, by these sizes; equal splits are left out.

    Raises:
        ConfigError: Folds of a target cannot be drawn.
    """
    n_folds, repeats, seed = sizes
    fold_ids = np.full((len(targets), repeats, len(values)), -1, np.int32)
    for t, target in enumerate(targets):
        rows = np.flatnonzero(~np.isnan(values[:, t]))
        some = [groups[int(row)] for row in rows]
        try:
            folds = draw(values[rows, t], _unless_single(some))
        except ConfigError as error:
            raise ConfigError(f"{noun} {target}: {error}") from None
        fold_ids[np.ix_(np.array([t]), np.array(folds.seeds) - seed, rows)] = folds.fold_ids
    return _drop_empty(fold_ids, n_folds, range(seed, seed + repeats))


def read_given_folds(
    table: pa.Table,
    patients: Sequence[str],
    values: Values,
    targets: Sequence[str],
    groups: Sequence[str],
    origin: str,
    classes: bool,
    words: tuple[str, str, str] = ("gene", "wild type", "mutated"),
) -> OutcomeFolds:
    """Read folds that are given: shared by all targets, or each gene's own.

    Args:
        table: Columns item (patient_id), repeat, fold, and target where each gene has its own;
            items that are no patients of this cohort are refused. Genes that are not evaluated
            may be in it.
        patients: (P,) names.
        values: (P, T).
        targets: (T,) names.
        groups: (P,) what must stay in one fold.
        origin: Where the table came from, for messages.
        classes: Whether values are classes, each of which training needs.
        words: For a target, its class 0, and its class 1.

    Raises:
        ConfigError: Everything that is wrong with it, in one line.
    """
    if classes and set(by_target := split_targets(table, origin)) != {""}:
        return _read_target_folds(by_target, patients, values, targets, groups, origin, words)
    folds = parse_folds(table, patients, [""] * len(patients), groups, origin)
    for t, target in enumerate(targets if classes else ()):
        there = ~np.isnan(values[:, t])
        where = f"{origin}: {words[0]} {target}"
        _check_classes(folds.fold_ids[:, there], folds, values[there, t], where, words)
    return OutcomeFolds(folds.fold_ids, folds.n_folds, folds.seeds)


def _read_target_folds(
    by_target: Mapping[str, pd.DataFrame],
    patients: Sequence[str],
    values: Values,
    targets: Sequence[str],
    groups: Sequence[str],
    origin: str,
    words: tuple[str, str, str],
) -> OutcomeFolds:
    lacking = [target for target in targets if target not in by_target]
    if lacking:
        raise ConfigError(
            f"{origin}: no folds of {name_some(lacking)}, only of {name_some(sorted(by_target))}; "
            f"give a file that has every {words[0]}, one without the column target, or fewer "
            f"{words[0]}s"
        )
    given = {}
    for t, target in enumerate(targets):
        rows = np.flatnonzero(~np.isnan(values[:, t]))
        own, kept = ([names[int(row)] for row in rows] for names in (patients, groups))
        where = f"{origin}: {words[0]} {target}"
        folds = parse_repeats(by_target[target], own, kept, where)
        _check_classes(folds.fold_ids, folds, values[rows, t], where, words)
        given[t] = (rows, folds)
    counts = {folds.n_folds for _, folds in given.values()}
    if len(counts) > 1:
        raise ConfigError(
            f"{origin}: {words[0]}s have {' and '.join(map(str, sorted(counts)))} folds; all need "
            "the same number"
        )
    numbers = sorted({number for _, folds in given.values() for number in folds.numbers})
    slot = {number: at for at, number in enumerate(numbers)}
    fold_ids = np.full((len(targets), len(numbers), len(patients)), -1, np.int32)
    seeds = np.full(len(numbers), GIVEN, np.int64)
    for t, (rows, folds) in given.items():
        for ids, number, seed, distinct in zip(
            folds.fold_ids, folds.numbers, folds.seeds, find_distinct(folds.fold_ids), strict=True
        ):
            if distinct:
                fold_ids[t, slot[number], rows] = ids
                seeds[slot[number]] = seed
    return _drop_empty(fold_ids, counts.pop(), seeds.tolist())


def tabulate_outcome_folds(
    folds: OutcomeFolds, patients: Sequence[str], targets: Sequence[str], groups: Sequence[str]
) -> pa.Table:
    """Tabulate folds as `schemas/folds.json` describes; with a column target where they differ."""
    if folds.fold_ids.ndim == 2:
        shared = Folds(folds.fold_ids, folds.n_folds, folds.seeds, tuple(groups))
        return tabulate_folds(shared, patients)
    tables = []
    for target, ids in zip(targets, folds.fold_ids, strict=True):
        numbers = np.flatnonzero((ids >= 0).any(1))
        rows = np.flatnonzero(ids[numbers[0]] >= 0)
        seeds = tuple(folds.seeds[int(number)] for number in numbers)
        kept = tuple(groups[int(row)] for row in rows)
        own = Folds(ids[np.ix_(numbers, rows)], folds.n_folds, seeds, kept)
        table = tabulate_folds(own, [patients[int(row)] for row in rows], numbers.tolist())
        tables.append(table.append_column("target", pa.array([target] * len(table))))
    schema = arrow_schema("folds", optional=("target",))
    return pa.concat_tables([table.select(schema.names).cast(schema) for table in tables])


def _drop_empty(
    fold_ids: npt.NDArray[np.int32], n_folds: int, seeds: Sequence[int]
) -> OutcomeFolds:
    """Leave out the repeats that no target has."""
    kept = np.flatnonzero((fold_ids >= 0).any((0, 2)))
    return OutcomeFolds(fold_ids[:, kept], n_folds, tuple(int(seeds[int(at)]) for at in kept))


def _check_classes(
    fold_ids: npt.NDArray[np.int32],
    folds: Folds | GivenFolds,
    values: Values,
    origin: str,
    words: tuple[str, str, str],
) -> None:
    labels = np.where(values > 0, words[2], words[1]).tolist()
    try:
        check_training(Folds(fold_ids, folds.n_folds, folds.seeds, None), labels)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def _fills_folds(strata: Sequence[str], groups: Sequence[str], n_folds: int) -> bool:
    """Whether each stratum has patients of a group for every fold."""
    pairs = set(zip(strata, groups, strict=True))
    counts = Counter(stratum for stratum, _ in pairs)
    return min(counts.values()) >= n_folds


def _stratify(values: Values, strata: int) -> list[str]:
    """Stratum of each patient along the main axis of expression; one stratum without an axis."""
    filled = np.where(np.isfinite(values), values, np.nanmean(values, axis=0))
    if strata < 2 or not np.ptp(filled, axis=0).any():
        return ["all"] * len(values)
    axis = PCA(1, svd_solver="randomized", random_state=0).fit_transform(filled)[:, 0]
    order = np.argsort(np.argsort(axis, kind="stable"), kind="stable")
    return [str(stratum) for stratum in order * strata // len(values)]


def _unless_single(groups: Sequence[str]) -> Sequence[str] | None:
    """Groups, or None where each item is its own: scikit-learn's plain folds are more even then."""
    return None if len(set(groups)) == len(groups) else groups
