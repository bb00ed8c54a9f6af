"""The mutation task: whether genes are mutated, gene by gene."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from histo_ray.deferred import deferred
from histo_ray.evaluate.caveats import FEW_POSITIVES, Caveat, CaveatCode, caveat
from histo_ray.evaluate.patients.bag_settings import BagConfig
from histo_ray.evaluate.tasks.base import Chart, TableColumn, TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask, Values
from histo_ray.learn.heads.registry import TrainsOn, check_head, head_names
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.cohort.patient_folds import OutcomeFolds
    from histo_ray.labels.label_table import LabelTable

TRIED_GENES = 20
"""Genes, rarest first, whose folds are drawn to see whether a setting works."""
_KIND = TargetKind.BINARY
_ROWS = (TrainsOn.PATIENTS, TrainsOn.BAGS)
_read_mutations = deferred("histo_ray.labels.mutation_labels:read_mutations")
_draw_target_folds = deferred("histo_ray.cohort.patient_folds:draw_target_folds")


class MutationConfig(BagConfig):
    """Mutation of genes, one by one."""

    head: tuple[str, ...] = Field(
        default=("logistic",),
        description="trained on patients; repeat it: the best by inner folds is taken: "
        + ", ".join(head_names(*_ROWS, kind=_KIND)),
    )

    @field_validator("head")
    @classmethod
    def _heads_of_patients(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_head(name, *_ROWS, kind=_KIND) for name in names)


class MutationTask(PatientTask):
    """Which encoder predicts mutated genes best."""

    name = "mutation"
    help = "which encoder predicts mutated genes best: heads on patients' vectors or bags"
    config = MutationConfig
    unused_settings = ("transform", "clip_at")
    kind = _KIND
    takes_covariates = True
    words = TaskWords(
        title="Mutation",
        target="gene",
        target_in_sentence="mutated gene",
        score="AUROC",
        metric="AUROC",
        metric_head="AUROC",
        chance=0.5,
        most_drawn=40,
        count_columns=(
            TableColumn("patients", "n_patients", "With a label"),
            TableColumn("positives", "positives", "With a mutation"),
        ),
        other_scores=(
            TableColumn("AUPRC", "auprc", "Average precision over all predictions of a repeat"),
        ),
        charts=(Chart.PAIRS, Chart.INTERVALS, Chart.ROC),
    )

    def read_labels(self, config: MutationConfig, known: set[str]) -> "LabelTable":
        """Read a table of states, or a MAF."""
        labels: LabelTable = _read_mutations(config, known)
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
        """Draw folds of each gene's own, as few patients may have a mutation."""
        folds: OutcomeFolds = _draw_target_folds(values, targets, n_folds, repeats, seed, groups)
        return folds

    def try_folds(
        self, labels: "LabelTable", n_folds: int, seed: int, groups: Sequence[str]
    ) -> None:
        """See whether folds of the rarest mutations can be drawn."""
        rarest = np.argsort(np.nansum(labels.values, axis=0), kind="stable")[:TRIED_GENES]
        names = [labels.targets[int(at)] for at in rarest]
        self.draw_folds(labels.values[:, rarest], names, n_folds, 1, seed, groups)

    def find_caveats(
        self, config: MutationConfig, targets: Sequence[str], values: Values
    ) -> Iterator[Caveat]:
        """Name genes with few mutated patients."""
        positives = np.nansum(values, axis=0)
        few = tuple(
            f"{gene} {int(number)}"
            for gene, number in zip(targets, positives, strict=True)
            if number < FEW_POSITIVES
        )
        if few:
            yield caveat(CaveatCode.FEW_POSITIVES, targets=few)


TASK = MutationTask()
