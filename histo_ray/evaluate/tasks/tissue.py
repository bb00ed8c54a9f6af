"""The tissue task: classes of labelled tiles."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from histo_ray.config import TileSetConfig
from histo_ray.deferred import deferred
from histo_ray.evaluate.evaluation_record import TissueRecord
from histo_ray.evaluate.jobs import Host, PreparedRun
from histo_ray.evaluate.patients.patient_settings import ADDRESS
from histo_ray.evaluate.tasks.base import Task, TaskWords
from histo_ray.learn.heads.registry import Solver, TrainsOn, check_head, head_names
from histo_ray.settings import WHERE, Where

AUTO, INFERRED, NO_GROUPS = "auto", "inferred", "none"
"""Values of `--groups` that are no column."""

_prepare = deferred("histo_ray.evaluate.tiles.tile_run:prepare_tiles")


class TissueConfig(TileSetConfig):
    """One comparison of encoders by how well a head on their embeddings tells tissues apart."""

    tiles: str = Field(
        description="folder with one folder a class, or a CSV or Parquet with path, label[, group]"
    )
    test_tiles: str | None = Field(
        default=None, description="external test set: predicted by a head trained on all of --tiles"
    )
    where: Where = Field(default=None, description=WHERE)
    folds: int = Field(default=5, ge=2, le=100, description="of a repeat")
    repeats: int = Field(default=50, ge=1, le=1000, description="of the cross-validation")
    seed: int = Field(default=0, ge=0, description="of folds and resamples")
    fold_file: str | None = Field(
        default=None,
        description="Parquet with item (tile_id), repeat, fold; in place of --folds and --repeats",
    )
    groups: str = Field(
        default=AUTO,
        min_length=1,
        description="what no fold splits: auto (column group of --tiles, else inferred groups), "
        "inferred (from stain, colour and near-duplicates), none, or a column of --tiles",
    )
    allow_leak: bool = Field(
        default=False,
        description="evaluate an encoder on tiles that it was fine-tuned on, too; a caveat says so",
    )
    head: str = Field(
        default="logistic",
        description=f"trained on the embeddings: {', '.join(head_names(TrainsOn.TILES))}",
    )
    solver: Solver = Field(
        default="auto",
        description="of logistic: exact, fast (least squares), auto (fast where exact is dear)",
    )
    inner_parts: int = Field(
        default=1,
        ge=1,
        description="parts of the training part that the penalty is chosen on, in turn",
    )
    check: bool = Field(
        default=False,
        description="hold every stored vector against its digest before anything is trained on it",
    )
    remark: str = Field(default="", description="a line that the report prints at the top")
    resamples: int = Field(
        default=2000, ge=100, le=100_000, description="of the bootstrap of a difference"
    )

    address: str = Field(default="local", description=ADDRESS)

    @field_validator("head")
    @classmethod
    def _a_head_of_tiles(cls, name: str) -> str:
        return check_head(name, TrainsOn.TILES)

    @model_validator(mode="after")
    def _enough_to_train_on(self) -> Self:
        if self.inner_parts >= self.folds:
            raise ValueError(f"inner_parts: {self.inner_parts}, must be fewer than --folds")
        return self


class TissueTask(Task):
    """Which encoder tells tissues apart best."""

    name = "tissue"
    help = "which encoder tells tissues apart best: a head on embeddings of labelled tiles"
    config = TissueConfig
    record = TissueRecord
    words = TaskWords(title="Tissue", target="class", score="accuracy", metric="accuracy")

    def prepare(self, config: TissueConfig, host: Host) -> PreparedRun:
        """Read tile sets, bring them into the store, draw folds."""
        prepared: PreparedRun = _prepare(config, host)
        return prepared


TASK = TissueTask()
