"""The expression task: numbers of genes, all genes at once."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from histo_ray.deferred import deferred
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.patients.bag_settings import BagConfig
from histo_ray.evaluate.tasks.base import Chart, TableColumn, TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask, Values
from histo_ray.learn.heads.registry import TrainsOn, check_head, head_names
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.cohort.patient_folds import OutcomeFolds
    from histo_ray.labels.label_table import LabelTable

_KIND = TargetKind.CONTINUOUS
_ROWS = (TrainsOn.PATIENTS, TrainsOn.BAGS)
_read_expression = deferred("histo_ray.labels.expression_labels:read_expression")
_draw_shared_folds = deferred("histo_ray.cohort.patient_folds:draw_shared_folds")


class ExpressionConfig(BagConfig):
    """Expression of genes, all at once."""

    head: tuple[str, ...] = Field(
        default=("ridge",),
        description="trained on patients; repeat it: the best by inner folds is taken: "
        + ", ".join(head_names(*_ROWS, kind=_KIND)),
    )
    permutations: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="labels permuted and refitted, to tell chance; 0: corrected t-test instead",
    )

    @field_validator("head")
    @classmethod
    def _heads_of_patients(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_head(name, *_ROWS, kind=_KIND) for name in names)


class ExpressionTask(PatientTask):
    """Which encoder predicts the expression of genes best."""

    name = "expression"
    help = "which encoder predicts the expression of genes best: heads on patients' vectors or bags"
    config = ExpressionConfig
    unused_settings = ("sequenced", "variant_classes")
    kind = _KIND
    takes_covariates = True
    words = TaskWords(
        title="Gene expression",
        target="gene",
        target_in_sentence="gene",
        score="correlation",
        metric="Pearson's r",
        metric_head="r",
        chance=0.0,
        most_drawn=15,
        other_scores=(
            TableColumn("Spearman", "spearman", "Rank correlation"),
            TableColumn(
                "R2",
                "r2",
                "1 - SSE / SST over all predictions of a repeat, mean over repeats; below 0: "
                "worse than the mean",
            ),
        ),
        charts=(Chart.PAIRS, Chart.INTERVALS),
    )

    def read_labels(self, config: ExpressionConfig, known: set[str]) -> "LabelTable":
        """Read a table of numbers."""
        labels: LabelTable = _read_expression(config, known)
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
        """Draw folds that all genes share."""
        folds: OutcomeFolds = _draw_shared_folds(values, n_folds, repeats, seed, groups)
        return folds

    def count_permutations(self, config: ExpressionConfig) -> int:
        """Refits with permuted labels are cheap for ridge alone."""
        return config.permutations if set(config.head) == {"ridge"} else 0

    def transform(self, config: ExpressionConfig) -> str:
        """Name the transform of the settings."""
        return config.transform

    def find_caveats(
        self, config: ExpressionConfig, targets: Sequence[str], values: Values
    ) -> Iterator[Caveat]:
        """Say how chance is told, where that is not by ranks of permuted labels."""
        if not self.count_permutations(config):
            yield caveat(CaveatCode.CHANCE_BY_T_TEST)
        elif config.transform != "rank":
            yield caveat(CaveatCode.POOLED_NULL, transform=config.transform)


TASK = ExpressionTask()
