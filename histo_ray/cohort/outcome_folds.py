"""Folds of patients for expression and mutation; the same for every encoder. Pure.

Genes that are predicted all at once share their folds. A mutated gene has folds of its own, as each
fold needs its share of that gene's few positives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.decomposition import PCA

from histo_ray.cohort.fold_table import parse_folds, tabulate_folds
from histo_ray.cohort.folds import Folds, check_training, draw_folds
from histo_ray.errors import ConfigError
from histo_ray.schema import arrow_schema

Values = npt.NDArray[np.float64]
STRATA = 4
"""Parts of the cohort, along the main axis of expression, that each fold gets its share of."""


@dataclass(frozen=True)
class OutcomeFolds:
    """Repeated cross-validation of P patients for T targets."""

    parts: npt.NDArray[np.int32]
    """(R, P) shared by all targets, or (T, R, P); there -1 where a patient has no label."""
    n_folds: int
    seeds: tuple[int, ...]
    """One a repeat."""

    @property
    def repeats(self) -> int:
        """How often all patients are judged."""
        return int(self.parts.shape[-2])


def draw_shared_folds(
    values: Values, n_folds: int, repeats: int, seed: int, groups: Sequence[str]
) -> OutcomeFolds:
    """Folds that all genes share, stratified along the first principal component of expression.

    Args:
        values: (P, T) expression; nan where missing.
        n_folds: Folds of a repeat.
        repeats: How often.
        seed: Of the first repeat.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: Too few patients or sites.
    """
    strata = _stratify(values, min(STRATA, len(set(groups)) // n_folds))
    if len(set(strata)) < 2:
        raise ConfigError(
            f"cohort: {len(set(groups))} patients or sites to put into folds, wanted at least "
            f"{2 * n_folds}; use fewer --folds, or --keep-together patient"
        )
    folds = draw_folds(strata, n_folds, repeats, seed, _unless_single(groups))
    return OutcomeFolds(folds.parts, n_folds, folds.seeds)


def draw_target_folds(
    values: Values,
    targets: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str],
) -> OutcomeFolds:
    """Folds of each gene for itself, stratified by whether it is mutated.

    Args:
        values: (P, T) 0, 1, or nan where unknown.
        targets: (T,) names, for messages.
        n_folds: Folds of a repeat.
        repeats: How often.
        seed: Of the first repeat, for each gene.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: A gene with too few positives, or positives at too few sites.
    """
    parts = np.full((len(targets), repeats, len(values)), -1, np.int32)
    for t, target in enumerate(targets):
        rows = np.flatnonzero(~np.isnan(values[:, t]))
        labels = np.where(values[rows, t] > 0, "mutated", "wild type").tolist()
        some = [groups[int(row)] for row in rows]
        try:
            folds = draw_folds(labels, n_folds, repeats, seed, _unless_single(some))
        except ConfigError as error:
            raise ConfigError(f"gene {target}: {error}") from None
        parts[t][:, rows] = folds.parts
    return OutcomeFolds(parts, n_folds, tuple(range(seed, seed + repeats)))


def read_given_folds(
    table: pa.Table,
    patients: Sequence[str],
    values: Values,
    targets: Sequence[str],
    groups: Sequence[str],
    origin: str,
    classes: bool,
) -> OutcomeFolds:
    """Folds that somebody gives, shared by all targets.

    Args:
        table: With the columns item (patient_id), repeat, fold; items that are no patients of
            this cohort are refused.
        patients: (P,) names.
        values: (P, T).
        targets: (T,) names, for messages.
        groups: (P,) what must stay in one fold.
        origin: Where the table came from, for messages.
        classes: Whether values are classes, each of which training needs.

    Raises:
        ConfigError: Everything that is wrong with it, in one line.
    """
    folds = parse_folds(table, patients, [""] * len(patients), groups, origin)
    for t, target in enumerate(targets if classes else ()):
        there = ~np.isnan(values[:, t])
        labels = np.where(values[there, t] > 0, "mutated", "wild type").tolist()
        some = Folds(folds.parts[:, there], folds.n_folds, folds.seeds, None)
        try:
            check_training(some, labels)
        except ConfigError as error:
            raise ConfigError(f"{origin}: gene {target}: {error}") from None
    return OutcomeFolds(folds.parts, folds.n_folds, folds.seeds)


def tabulate_outcome_folds(
    folds: OutcomeFolds, patients: Sequence[str], targets: Sequence[str], groups: Sequence[str]
) -> pa.Table:
    """The folds as a table of `schemas/folds.json`; with a column target where each has its own."""
    if folds.parts.ndim == 2:
        shared = Folds(folds.parts, folds.n_folds, folds.seeds, tuple(groups))
        return tabulate_folds(shared, patients)
    tables = []
    for target, part in zip(targets, folds.parts, strict=True):
        rows = np.flatnonzero(part[0] >= 0)
        own = Folds(part[:, rows], folds.n_folds, folds.seeds, tuple(groups[int(r)] for r in rows))
        table = tabulate_folds(own, [patients[int(row)] for row in rows])
        tables.append(table.append_column("target", pa.array([target] * len(table))))
    schema = arrow_schema("folds", optional=("target",))
    return pa.concat_tables([table.select(schema.names).cast(schema) for table in tables])


def _stratify(values: Values, strata: int) -> list[str]:
    """Which part of the main axis each patient lies in; one part if there is no axis."""
    filled = np.where(np.isfinite(values), values, np.nanmean(values, axis=0))
    if strata < 2 or not np.ptp(filled, axis=0).any():
        return ["all"] * len(values)
    axis = PCA(1, svd_solver="randomized", random_state=0).fit_transform(filled)[:, 0]
    order = np.argsort(np.argsort(axis, kind="stable"), kind="stable")
    return [str(part) for part in order * strata // len(values)]


def _unless_single(groups: Sequence[str]) -> Sequence[str] | None:
    """None where each is on its own: scikit-learn's plain folds are more even then."""
    return None if len(set(groups)) == len(groups) else groups
