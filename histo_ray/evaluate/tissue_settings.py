"""Settings of an evaluation."""

from typing import Self

from pydantic import Field, model_validator

from histo_ray.config import TileSetConfig
from histo_ray.learn.head_names import HeadName, Solver


class TissueConfig(TileSetConfig):
    """One comparison of encoders by how well a head on their embeddings tells tissues apart."""

    tiles: str = Field(
        description="folder with one folder a class, or a CSV or Parquet with path, label[, group]"
    )
    test_tiles: str | None = Field(
        default=None, description="external test set: judged by a head trained on all of --tiles"
    )
    folds: int = Field(default=5, ge=2, le=100, description="of a repeat")
    repeats: int = Field(default=50, ge=1, le=1000, description="of the cross-validation")
    seed: int = Field(default=0, ge=0, description="of folds and resamples")
    fold_file: str | None = Field(
        default=None,
        description="Parquet with item (tile_id), repeat, fold; in place of --folds and --repeats",
    )
    head: HeadName = Field(default="logistic", description="trained on the embeddings")
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

    @model_validator(mode="after")
    def _enough_to_train_on(self) -> Self:
        if self.inner_parts >= self.folds:
            raise ValueError(f"inner_parts: {self.inner_parts}, must be fewer than --folds")
        return self
