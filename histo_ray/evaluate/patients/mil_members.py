"""The members of MIL heads: what each scores alone, and how far they lie apart."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from histo_ray.evaluate.evaluation_record import MemberSummary
from histo_ray.evaluate.patients.late_bags import columns_of, fold_piece_name, list_unit_targets
from histo_ray.evaluate.patients.patient_features import BAGS
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_tables import name_head
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder

MEMBERS = "members"
"""Name of the table."""


class MemberPart(NamedTuple):
    """Targets of one kind, and the pieces of their units."""

    plan: PatientPlan
    matrix: TargetMatrix
    pieces: TableFolder


def write_members(folder: TableFolder, parts: Sequence[MemberPart]) -> tuple[MemberSummary, ...]:
    """Write the members of every MIL head as table `members`; none for a run without such heads.

    Args:
        folder: Of the run.
        parts: One for each kind of targets.

    Returns:
        How far they lie apart, by kind, encoder and head.
    """
    if not any(one.pooling == BAGS for part in parts for one in part.plan.configurations):
        return ()
    tables = (table for part in parts for table in iterate_members(part))
    folder.write(MEMBERS, tables, arrow_schema("mil_members"))
    every = folder.read(MEMBERS).to_pandas()
    return tuple(
        found
        for part in parts
        for found in summarise_members(
            every[every["target"].isin(part.plan.outputs)], part.plan.task.kind.value
        )
    )


def iterate_members(part: MemberPart) -> Iterator[pa.Table]:
    """Yield the members of every MIL head, as rows of `schemas/mil_members.json`.

    Heads that lost a competition have none, nor have pieces from before members were kept.
    """
    plan, matrix, pieces = part
    there = set(pieces.names())
    bags = [(at, c) for at, c in enumerate(plan.configurations) if c.pooling == BAGS]
    targets = list_unit_targets(matrix, plan.output_kind)
    units = itertools.product(bags, targets, range(matrix.repeats), range(matrix.n_folds))
    for (number, configuration), target, repeat, fold in units:
        name = fold_piece_name(number, target, repeat, fold)
        if f"{name}.parquet" in there:
            piece = pieces.read(name)
            if "seeds" in piece.column_names:
                names = [plan.outputs[at] for at in columns_of(matrix, target)]
                yield _tabulate(piece, plan.task.name, configuration, names, repeat, fold)


def summarise_members(table: pd.DataFrame, kind: str = "") -> tuple[MemberSummary, ...]:
    """Summarise the spread between members, by encoder and head.

    A member's score of a repeat is its mean over folds, as a head of that member alone would have
    it; the spread is the standard deviation of these between members, mean over targets and
    repeats.

    Args:
        table: Rows of `mil_members`, of targets of one kind.
        kind: Its name.
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
                kind=kind,
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
