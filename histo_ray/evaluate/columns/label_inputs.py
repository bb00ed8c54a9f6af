"""Labels of patients from columns of a label file, or of the manifest that a store keeps."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.labels.column_labels import (
    ColumnRows,
    open_column_file,
    open_manifest_columns,
    read_columns,
)
from histo_ray.labels.column_wishes import ColumnWishes
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.survival_labels import read_survival
from histo_ray.learn.targets.class_codings import OutputLayout
from histo_ray.store.manifest_columns import read_manifest_columns
from histo_ray.store.store import open_store
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.evaluate.tasks.label import LabelConfig
    from histo_ray.evaluate.tasks.survival import SurvivalConfig


def read_labels(
    config: "LabelConfig",
    known: Collection[str],
    wishes: Mapping[str, ColumnWishes] | None = None,
) -> LabelTable:
    """Read the columns that are asked for.

    Args:
        config: Of the label task.
        known: Patients that the store knows.
        wishes: What is known of the columns in place of what the settings say: then columns that
            are not there are left out.

    Raises:
        ConfigError: They cannot be read, or nobody can tell what they hold.
    """
    rows = open_rows(config, known)
    return read_columns(rows, wishes or config.wishes, lenient=wishes is not None)


def read_endpoints(config: "SurvivalConfig", known: Collection[str]) -> LabelTable:
    """Read the endpoints that are asked for.

    Args:
        config: Of the survival task.
        known: Patients that the store knows.

    Raises:
        ConfigError: They cannot be read.
    """
    return read_survival(open_rows(config, known), config.endpoints, config.event_value)


def open_rows(config: PatientConfig, known: Collection[str]) -> ColumnRows:
    """Open the label file, or the columns of the manifest where there is none.

    Args:
        config: Of a task that reads columns.
        known: Patients that the store knows.

    Raises:
        ConfigError: It cannot be read, or the store keeps no such columns.
    """
    store = open_store(config.store)
    frame = store.slides()
    slides = dict(zip(frame["slide_id"].tolist(), frame["patient_id"].tolist(), strict=True))
    if config.labels:
        return open_column_file(config, known, slides)
    return open_manifest_columns(read_manifest_columns(store.root), slides, config.store)


def read_outputs(
    config: "LabelConfig",
    known: Collection[str],
    kind: str,
    columns: Mapping[str, tuple[str, ...]],
) -> LabelTable:
    """Read columns as a predictor knows them, each class of several as a target of 0 and 1.

    Args:
        config: Of the label task.
        known: Patients that were predicted.
        kind: Of all columns.
        columns: Classes of each; empty of numbers.

    Raises:
        ConfigError: None of the columns is there, or they hold nothing that the predictor knows.
    """
    wishes = {name: ColumnWishes(kind=kind, classes=classes) for name, classes in columns.items()}
    labels = read_labels(config, known, wishes)
    layout = OutputLayout(TargetKind(kind), labels.targets, labels.classes)
    if layout.coding is None:
        return labels
    return replace(
        labels,
        targets=tuple(output.name for output in layout.outputs),
        values=layout.encode(labels.values),
        columns=(),
        kind=TargetKind.BINARY,
    )
