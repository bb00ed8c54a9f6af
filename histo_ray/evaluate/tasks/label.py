"""The label task: any columns of a label file or of the manifest, of any kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import FEW_POSITIVES, Caveat, CaveatCode, caveat
from histo_ray.evaluate.columns.label_record import LabelRecord
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.jobs import Host, PreparedRun
from histo_ray.evaluate.patients.bag_settings import BagConfig
from histo_ray.evaluate.patients.patient_settings import OF_MANIFEST, PatientConfig
from histo_ray.evaluate.tasks.base import Chart, TableColumn, TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask, Values
from histo_ray.labels.column_wishes import COLUMN_KINDS, ColumnWishes, parse_wishes
from histo_ray.labels.label_settings import Transform
from histo_ray.learn.heads.registry import TrainsOn, check_head, head_names
from histo_ray.text import join_or
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.cohort.patient_folds import OutcomeFolds
    from histo_ray.labels.label_table import LabelTable

_ROWS = (TrainsOn.PATIENTS, TrainsOn.BAGS)
_HEADS = {kind: head_names(*_ROWS, kind=kind) for kind in COLUMN_KINDS}
_FIRST_HEAD = {
    TargetKind.BINARY: "logistic",
    TargetKind.MULTICLASS: "logistic",
    TargetKind.ORDINAL: "logistic",
    TargetKind.CONTINUOUS: "ridge",
}
_prepare_label_run = deferred("histo_ray.evaluate.columns.label_run:prepare_label_run")
_read_labels = deferred("histo_ray.evaluate.columns.label_inputs:read_labels")
_read_outputs = deferred("histo_ray.evaluate.columns.label_inputs:read_outputs")
_draw_column_folds = deferred("histo_ray.cohort.column_folds:draw_column_folds")


class LabelConfig(BagConfig):
    """Columns of a label file, or of the manifest: two classes, several, an order, or numbers."""

    labels: str = Field(default="", description=OF_MANIFEST)
    column: tuple[str, ...] = Field(
        min_length=1, description="column that is predicted; repeat it for several, of any kinds"
    )
    kind: tuple[str, ...] = Field(
        default=(),
        description="NAME=KIND of a column: binary, multiclass, ordinal or continuous; KIND alone "
        "is that of all (default: two values are binary, 3 to 20 words multiclass, more than 10 "
        "or broken numbers continuous; up to 10 whole numbers are asked about)",
    )
    order: tuple[str, ...] = Field(
        default=(),
        description="NAME=LOW,MEDIUM,HIGH of an ordinal column, lowest class first; NAME= may be "
        "left out with one column (default: the order of numbers; of words it is needed)",
    )
    positive: tuple[str, ...] = Field(
        default=(),
        description="NAME=VALUE that is positive in a binary column, all others are negative; "
        "NAME= may be left out with one column (default: the larger number, a word for yes, the "
        "word beside one for no, else the rarer one; it is told)",
    )
    head: tuple[str, ...] = Field(
        default=(),
        description="trained on patients; repeat it: the best by inner folds is taken (default: "
        f"logistic for classes, ridge for numbers): {', '.join(_HEADS[TargetKind.BINARY])} for "
        f"classes; {', '.join(_HEADS[TargetKind.CONTINUOUS])} for numbers",
    )
    transform: Transform = Field(
        default="none",
        description="of numbers: none, log2 (log2(x + 1)), rank (rank-normal, Blom), clip",
    )
    max_missing: float = Field(
        default=0.99, ge=0, lt=1, description="columns with a larger share of missing values go"
    )

    @field_validator("head")
    @classmethod
    def _heads_of_some_kind(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [*dict.fromkeys(name for own in _HEADS.values() for name in own)]
        for name in names:
            if name not in known:
                check_head(name, *_ROWS, kind=TargetKind.BINARY)
        return names

    @model_validator(mode="after")
    def _what_is_said_of_columns(self) -> Self:
        if len(set(self.column)) < len(self.column):
            raise ValueError(f"column: the same one twice in {list(self.column)}; name each once")
        parse_wishes(self.column, self.kind, self.order, self.positive)
        if not (self.labels or self.subgroup_file) and set(self.subgroup) - {"site"}:
            raise ValueError(
                "subgroup: of which table is not said; name it with subgroup_file, as labels are "
                "columns of the manifest"
            )
        return self

    @property
    def wishes(self) -> Mapping[str, ColumnWishes]:
        """What is said of each column."""
        return parse_wishes(self.column, self.kind, self.order, self.positive)


class KindTask(PatientTask):
    """Columns of one kind: a part of the label task."""

    name = "label"
    help = ""
    config = LabelConfig
    takes_covariates = True

    def __init__(self, kind: TargetKind, words: TaskWords) -> None:
        """Take what differs between kinds."""
        self.kind = kind  # type: ignore[misc]  # of this object, not of its class
        self.words = words  # type: ignore[misc]

    def choose_heads(self, config: LabelConfig) -> tuple[str, ...]:
        """Choose the heads of these columns among those that are asked for.

        Raises:
            ConfigError: None of them predicts this kind.
        """
        known = _HEADS[self.kind]
        chosen = tuple(name for name in config.head if name in known)
        if config.head and not chosen:
            raise ConfigError(
                f"--head {', '.join(config.head)}: none of it predicts {self.kind} columns, and "
                f"some of --column are; name {join_or(list(known))}, too"
            )
        return chosen or (_FIRST_HEAD[self.kind],)

    def read_labels(self, config: LabelConfig, known: set[str]) -> "LabelTable":
        """Read the columns, of every kind."""
        labels: LabelTable = _read_labels(config, known)
        return labels

    def read_truth(
        self,
        config: LabelConfig,
        known: set[str],
        kind: str,
        columns: Mapping[str, tuple[str, ...]],
    ) -> "LabelTable":
        """Read the columns as the predictor knows them; of several classes each is a target."""
        labels: LabelTable = _read_outputs(config, known, kind, columns)
        return labels

    def prepare_labels(
        self, labels: "LabelTable", config: LabelConfig, groups: Sequence[str]
    ) -> "LabelTable":
        """Leave them alone: each kind is prepared by itself (`evaluate.columns.label_run`)."""
        return labels

    def draw_folds(
        self,
        values: Values,
        targets: Sequence[str],
        n_folds: int,
        repeats: int,
        seed: int,
        groups: Sequence[str],
    ) -> "OutcomeFolds":
        """Draw folds of each column's own, stratified by its classes, or quantiles of numbers."""
        folds: OutcomeFolds = _draw_column_folds(
            self.kind, values, targets, n_folds, repeats, seed, groups
        )
        return folds

    def transform(self, config: LabelConfig) -> str:
        """Name the transform of numbers."""
        return config.transform if self.kind is TargetKind.CONTINUOUS else ""

    def find_caveats(
        self, config: LabelConfig, targets: Sequence[str], values: Values
    ) -> Iterator[Caveat]:
        """Name columns with few patients of a class."""
        if self.kind is TargetKind.CONTINUOUS:
            return
        few = []
        for target, column in zip(targets, values.T, strict=True):
            counts = np.unique(column[~np.isnan(column)], return_counts=True)[1]
            if len(counts) and counts.min() < FEW_POSITIVES:
                few.append(f"{target} {int(counts.min())}")
        if few:
            yield caveat(CaveatCode.FEW_OF_A_CLASS, targets=tuple(few))


def _name_kind(
    title: str,
    noun: str,
    scores: tuple[str, str, str],
    chance: float,
    others: tuple[TableColumn, ...],
    *,
    positives: bool = False,
    charts: tuple[Chart, ...] = (Chart.PAIRS, Chart.INTERVALS),
) -> TaskWords:
    counts: tuple[TableColumn, ...] = (TableColumn("patients", "n_patients", "With a label"),)
    if positives:
        counts = (*counts, TableColumn("positives", "positives", "Of the positive class"))
    score, metric, head = scores
    return TaskWords(
        title=title,
        target="column",
        target_in_sentence=noun,
        score=score,
        metric=metric,
        metric_head=head,
        chance=chance,
        names_single=True,
        most_drawn=40,
        count_columns=counts,
        other_scores=others,
        charts=charts,
    )


_ACCURACY = TableColumn("accuracy", "accuracy", "Share of patients whose class is chosen")
_BALANCED = TableColumn(
    "balanced", "balanced_accuracy", "Balanced accuracy: mean of the recalls of the classes"
)
_SPEARMAN = TableColumn("Spearman", "spearman", "Rank correlation")
KIND_TASKS: dict[TargetKind, KindTask] = {
    kind: KindTask(kind, words)
    for kind, words in {
        TargetKind.BINARY: _name_kind(
            "Labels of two classes",
            "binary column",
            ("AUROC", "AUROC", "AUROC"),
            0.5,
            (TableColumn("AUPRC", "auprc", "Average precision over all predictions of a repeat"),),
            positives=True,
            charts=(Chart.PAIRS, Chart.INTERVALS, Chart.ROC),
        ),
        TargetKind.MULTICLASS: _name_kind(
            "Labels of several classes",
            "multi-class column",
            ("macro AUROC", "macro AUROC", "macro AUROC"),
            0.5,
            (_ACCURACY, _BALANCED),
        ),
        TargetKind.ORDINAL: _name_kind(
            "Labels with an order",
            "ordinal column",
            ("rank correlation", "Spearman's rho", "rho"),
            0.0,
            (
                TableColumn("kappa", "kappa", "Cohen's kappa with quadratic weights"),
                _ACCURACY,
                _BALANCED,
            ),
        ),
        TargetKind.CONTINUOUS: _name_kind(
            "Labels that are numbers",
            "numeric column",
            ("correlation", "Pearson's r", "r"),
            0.0,
            (
                _SPEARMAN,
                TableColumn("R2", "r2", "1 - SSE / SST, mean over repeats; below 0: worse than "
                            "the mean"),
            ),
        ),
    }.items()
}  # fmt: skip
"""By kind, in the order of the report."""


class LabelTask(KindTask):
    """Which encoder predicts columns of labels best."""

    help = (
        "which encoder predicts columns of a label file or of the manifest best: classes, grades "
        "or numbers"
    )
    record = LabelRecord
    unused_settings = ("genes", "sequenced", "variant_classes", "max_missing")

    def __init__(self) -> None:
        """Name the task as a whole; `KIND_TASKS` name its parts."""
        super().__init__(
            TargetKind.CONTINUOUS,
            _name_kind("Labels", "column", ("score", "score", "score"), 0.0, ()),
        )

    def prepare(self, config: PatientConfig, host: Host) -> PreparedRun:
        """Join slides and labels, and prepare the columns of each kind."""
        prepared: PreparedRun = _prepare_label_run(self, config, host)
        return prepared

    def split_record(self, record: PatientRecord) -> list[tuple[TaskWords, PatientRecord]]:
        """Split a record by the kinds of its columns."""
        if not isinstance(record, LabelRecord):
            return super().split_record(record)
        return [
            (KIND_TASKS[kind].words, record.take_part(kind))
            for kind in KIND_TASKS
            if kind in record.parts
        ]


TASK = LabelTask()


def settings_of_kind(task: KindTask, config: LabelConfig) -> LabelConfig:
    """Settings of the columns of one kind: with the heads that are theirs."""
    update: dict[str, Any] = {"head": task.choose_heads(config)}
    return config.model_copy(update=update)
