"""What an evaluation of columns of labels records: of all columns, and of each kind."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.columns.label_record import LabelColumnRecord, LabelPartRecord, LabelRecord
from histo_ray.evaluate.evaluation_record import DroppedTarget, TestsRecord
from histo_ray.evaluate.patients.independent_groups import describe_tests
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_record import SHOWN, make_patient_record
from histo_ray.evaluate.patients.patient_summary import (
    list_best,
    summarise_encoders,
    summarise_pairs,
)
from histo_ray.evaluate.tasks.label import LabelConfig
from histo_ray.labels.column_labels import summarise_counts
from histo_ray.labels.label_table import LabelTable
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.store.tables import TableFolder


def make_label_record(
    folder: TableFolder,
    config: LabelConfig,
    plans: Sequence[PatientPlan],
    labels: LabelTable,
    identity: Mapping[str, object],
    tables: Mapping[str, pa.Table],
    caveats: Sequence[Caveat],
    began: float,
) -> LabelRecord:
    """Record all that decided the tables, and what they come to.

    Args:
        folder: Of the run.
        config: Of the run.
        plans: Of each kind of columns.
        labels: Of all columns.
        identity: By whose digest the run is called.
        tables: As they were written.
        caveats: Known before the work.
        began: When, by `time.monotonic`.
    """
    base = make_patient_record(folder, plans[0], identity, tables, caveats, began)
    parts = {plan.task.kind.value: _sum_up(plan, tables) for plan in plans}
    alone = next(iter(parts.values())) if len(parts) == 1 else None
    summary = {
        name: one.model_copy(update={"mean_score": None, "median_score": None})
        for name, one in base.summary.items()
    }
    of_labels = base.labels.model_copy(
        update={
            "targets": len(labels.targets),
            "notes": labels.notes,
            "dropped": tuple(DroppedTarget(target=d.target, reason=d.text) for d in labels.dropped),
        }
    )
    columns = [column for plan in plans for column in _record_columns(plan)]
    return LabelRecord.model_validate(
        base.model_dump()
        | {
            "labels": of_labels.model_dump(),
            "settings": config.model_dump(mode="json"),
            "tests": _join_tests([describe_tests(plan) for plan in plans]).model_dump(),
            "summary": summary if alone is None else alone.summary,
            "pairs": () if alone is None else alone.pairs,
            "left_out_sites": () if alone is None else base.model_dump()["left_out_sites"],
            "columns": columns,
            "parts": parts,
        }
    )


def _sum_up(plan: PatientPlan, tables: Mapping[str, pa.Table]) -> LabelPartRecord:
    """Sum up the columns of one kind."""
    names = pa.array(plan.targets, pa.string())
    targets, comparisons = (
        tables[name].filter(pc.is_in(tables[name]["target"], names)).to_pylist()
        for name in ("targets", "comparisons")
    )
    metric = METRICS[plan.task.kind].name
    endpoints = [row for row in tables["endpoints"].to_pylist() if row["metric"] == metric]
    return LabelPartRecord(
        targets=len(plan.targets),
        summary=summarise_encoders(targets),
        pairs=tuple(summarise_pairs(comparisons, targets, endpoints)),
        shown=tuple(list_best(targets, comparisons, SHOWN)),
    )


def _record_columns(plan: PatientPlan) -> list[LabelColumnRecord]:
    labels = plan.patients.labels
    return [
        LabelColumnRecord(
            name=column.name,
            kind=column.kind.value,
            classes=column.classes,
            counts=summarise_counts(values.tolist(), len(column.classes))
            or (int(np.isfinite(values).sum()),),
            rule=column.rule,
        )
        for column, values in zip(labels.columns, labels.values.T, strict=True)
    ]


def _join_tests(each: Sequence[TestsRecord]) -> TestsRecord:
    """Join what tests of several kinds rest on; ranges hold those of all."""

    def span(name: str) -> tuple[float, ...]:
        found = [value for one in each for value in getattr(one, name)]
        return (min(found), max(found)) if found else ()

    ranges = ("distinct_splits", "independent_units", "degrees_of_freedom")
    return each[0].model_copy(
        update={name: span(name) for name in ranges}
        | {"targets_without_test": sum(one.targets_without_test for one in each)}
    )
