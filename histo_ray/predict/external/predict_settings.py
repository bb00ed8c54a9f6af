"""Settings of `predict`: which predictors, which store, and its labels if there are any."""

from typing import Self

from pydantic import Field, model_validator

from histo_ray.config import Settings
from histo_ray.labels.label_settings import LayoutName
from histo_ray.settings import WHERE, Where


class PredictConfig(Settings):
    """One application of predictors to a store that they were not fitted on."""

    predictor: tuple[str, ...] = Field(
        min_length=1,
        description="folder or s3:// or gs:// URI of a predictor, as STORE/predictors/NAME, or its "
        "name in --from-store; repeat it to compare predictors on the same patients",
    )
    from_store: str = Field(
        default="",
        description="store that --predictor is a name in, the one that it was fitted in (default: "
        "--store)",
    )
    store: str = Field(description="folder or s3:// or gs:// URI of the store to predict in")
    tiling: str | None = Field(
        default=None,
        description="for a predictor of classes of tiles, where the store holds several tilings of "
        "its tile size and mpp: fingerprint, the first letters of it, or mpp",
    )
    where: Where = Field(
        default=None, description=f"{WHERE} (default: that which the predictor was fitted with)"
    )
    tiles: bool = Field(
        default=False,
        description="write a table of tiles, too: what each adds to its patient's prediction, or "
        "its class",
    )
    target: tuple[str, ...] = Field(
        default=(),
        description="target whose tiles are scored, with --tiles (default: all); repeat it",
    )
    labels: str = Field(
        default="",
        description="CSV, TSV or Parquet with what is true of the patients: external validation",
    )
    labels_layout: LayoutName = Field(
        default="auto",
        description="of --labels; auto: found from its columns and the patients' ids, and told",
    )
    id_column: str | None = Field(
        default=None, description="column of --labels with patients or samples"
    )
    endpoint: tuple[str, ...] = Field(
        default=(),
        description="NAME=TIME,EVENT: columns of --labels for an endpoint of a predictor of "
        "survival, where they are not called as those that it was fitted on; repeat it",
    )
    sequenced: str | None = Field(
        default=None,
        description="file with one sequenced patient or sample a line, where --labels is a MAF",
    )
    subgroup: tuple[str, ...] = Field(
        default=(), description="column of --labels by which scores are given, too; repeat it"
    )
    threshold: str = Field(
        default="",
        description="threshold of the predictor's card that makes calls, as in 'sensitivity 0.9' "
        "(default: the first, Youden's)",
    )
    resamples: int = Field(
        default=1000, ge=100, le=100_000, description="of the bootstrap over patients"
    )
    seed: int = Field(default=0, ge=0, description="of the bootstrap")
    check: bool = Field(
        default=False, description="hold all vectors against their digests before they are used"
    )

    @model_validator(mode="after")
    def _what_needs_labels(self) -> Self:
        if not self.labels:
            given = [
                name
                for name in ("id_column", "endpoint", "sequenced", "subgroup")
                if getattr(self, name)
            ]
            if given:
                raise ValueError(f"{given[0]}: only with labels; name the label file, too")
        if self.target and not self.tiles:
            raise ValueError("target: only with tiles; patients are predicted for all targets")
        if len(set(self.predictor)) < len(self.predictor):
            raise ValueError("predictor: the same one twice; name each once")
        if len(set(self.subgroup)) < len(self.subgroup):
            raise ValueError("subgroup: the same column twice; name each once")
        return self
