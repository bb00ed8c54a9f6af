"""The members of MIL heads: what each scores alone, and how far they lie apart."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from histo_ray.evaluate.bag_units import columns_of, fold_piece_name, list_unit_targets
from histo_ray.evaluate.evaluation_record import MemberSummary
from histo_ray.evaluate.patient_features import BAGS
from histo_ray.evaluate.patient_plan import PatientPlan
from histo_ray.evaluate.patient_tables import name_head
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.target_matrix import TargetMatrix
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder

MEMBERS = "members"
"""Name of the table."""


def has_members(plan: PatientPlan) -> bool:
    """Whether a run trains MIL heads."""
    return any(one.pooling == BAGS for one in plan.configurations)


def iterate_members(
    pieces: TableFolder, plan: PatientPlan, matrix: TargetMatrix
) -> Iterator[pa.Table]:
    """Yield the members of every MIL head, as rows of `schemas/mil_members.json`.

    Heads that lost a competition have none, nor have pieces from before members were kept.

    Args:
        pieces: Of the run's units.
        plan: Its configurations.
        matrix: Its targets and folds.
    """
    there = set(pieces.names())
    bags = [(at, c) for at, c in enumerate(plan.configurations) if c.pooling == BAGS]
    targets = list_unit_targets(matrix, plan.task.kind)
    units = itertools.product(bags, targets, range(matrix.repeats), range(matrix.n_folds))
    for (number, configuration), target, repeat, fold in units:
        name = fold_piece_name(number, target, repeat, fold)
        if f"{name}.parquet" in there:
            piece = pieces.read(name)
            if "seeds" in piece.column_names:
                names = [plan.targets[at] for at in columns_of(matrix, target)]
                yield _tabulate(piece, plan.task.name, configuration, names, repeat, fold)


def summarise_members(table: pd.DataFrame) -> tuple[MemberSummary, ...]:
    """Summarise the spread between members, by encoder and head.

    A member's score of a repeat is its mean over folds, as a head of that member alone would have
    it; the spread is the standard deviation of these between members, mean over targets and
    repeats.

    Args:
        table: Rows of `mil_members`.
    """
    keys = ["encoder", "head", "target", "repeat", "member"]
    by_repeat = table.groupby(keys, sort=False, observed=True)["score"].mean()
    found = []
    for (encoder, head), scores in by_repeat.groupby(["encoder", "head"], sort=False):
        own = table[(table["encoder"] == encoder) & (table["head"] == head)]
        spread = scores.groupby(["target", "repeat"], sort=False).std(ddof=1)
        found.append(
            MemberSummary(
                encoder=str(encoder),
                head=str(head),
                members=int(own["member"].max()) + 1,
                mean_score=float(scores.mean()),
                score_sd=float(spread.mean()),
                prediction_sd=float(own["prediction_sd"].mean()),
            )
        )
    return tuple(found)


def _tabulate(
    piece: pa.Table, task: str, configuration: Configuration, targets: list[str], repeat: int,
    fold: int,
) -> pa.Table:  # fmt: skip
    seeds = _square(piece, "seeds")
    count, members = seeds.shape
    schema = arrow_schema("mil_members")
    columns: dict[str, object] = {
        "task": [task] * seeds.size,
        "target": np.repeat(np.array(targets, object), members),
        "encoder": [configuration.encoder] * seeds.size,
        "head": [name_head(configuration)] * seeds.size,
        "repeat": np.full(seeds.size, repeat),
        "fold": np.full(seeds.size, fold),
        "member": np.tile(np.arange(members), count),
        "seed": seeds.reshape(-1),
        "epoch": _square(piece, "member_epochs").reshape(-1),
        "inner_score": _square(piece, "member_inner_scores").reshape(-1),
        "score": _square(piece, "member_scores").reshape(-1),
        "prediction_sd": np.repeat(piece["prediction_sd"].to_numpy(), members),
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema)


def _square(piece: pa.Table, name: str) -> npt.NDArray[np.generic]:
    """A column of lists as (targets, members)."""
    return np.stack(piece[name].to_numpy())
