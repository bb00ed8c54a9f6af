"""Settings of an evaluation of expression or mutation."""

from typing import Literal

from pydantic import Field, model_validator

from histo_ray.labels.label_settings import LabelSettings

KeepTogether = Literal["patient", "site"]


class OutcomeConfig(LabelSettings):
    """One comparison of encoders by what can be predicted of patients from their embeddings."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    encoder: tuple[str, ...] = Field(
        min_length=1, description="encoder whose embeddings are in the store; repeat it to compare"
    )
    tiling: str | None = Field(
        default=None,
        description="tiling to evaluate, where the store holds several: its fingerprint, the first "
        "letters of it, or its mpp",
    )
    pooling: tuple[str, ...] = Field(
        default=("mean",),
        description="tiles to one vector a patient: mean, mean+std, quantiles, tissue, class:NAME, "
        "classes, ...; repeat it and the best inside each training part is taken",
    )
    class_encoder: str | None = Field(
        default=None,
        description="fine-tuned encoder whose tissue head weighs tiles, for class: and classes",
    )
    folds: int = Field(default=5, ge=2, le=100, description="of a repeat")
    repeats: int = Field(default=50, ge=1, le=1000, description="of the cross-validation")
    seed: int = Field(default=0, ge=0, description="of folds, heads, permutations and resamples")
    keep_together: KeepTogether = Field(
        default="patient",
        description="what no two folds share: patient, or site (and so patients too)",
    )
    fold_file: str | None = Field(
        default=None,
        description="Parquet with item (patient_id), repeat, fold; in place of drawn folds",
    )
    inner_folds: int = Field(
        default=5, ge=2, le=20, description="of a training part, where a head chooses by them"
    )
    resamples: int = Field(
        default=1000, ge=100, le=100_000, description="of the bootstrap over patients"
    )
    cpus_per_repeat: float = Field(
        default=1.0, gt=0, le=1024, description="CPUs that one repeat of one configuration is given"
    )
    memory_gb: float | None = Field(
        default=None, gt=0, description="memory of one repeat (default: from the features' size)"
    )
    check: bool = Field(
        default=False,
        description="hold every stored vector against its digest before anything is trained on it",
    )
    remark: str = Field(default="", description="a line that the report prints at the top")
    address: str = Field(
        default="local",
        description="Ray to run on: local, auto (a running one), or ray://host:port",
    )

    @model_validator(mode="after")
    def _nothing_twice(self) -> "OutcomeConfig":
        for name in ("encoder", "pooling", "head"):
            values = getattr(self, name, ())
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: the same one twice in {list(values)}")
        return self


class ExpressionConfig(OutcomeConfig):
    """Expression of genes, all at once."""

    head: tuple[Literal["ridge", "pls", "elastic-net"], ...] = Field(
        default=("ridge",), description="trained on patients; repeat it: the best inside is taken"
    )
    permutations: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="labels permuted and refitted, to tell chance; 0: corrected t-test instead",
    )


class MutationConfig(OutcomeConfig):
    """Mutation of genes, one by one."""

    head: tuple[Literal["logistic", "mil"], ...] = Field(
        default=("logistic",),
        description="trained on patients; repeat it: the best inside is taken",
    )
    mil: tuple[str, ...] = Field(
        default=(),
        description="KEY=VALUE of the MIL head; KEY=VALUE,VALUE searches both (ASHA inside each "
        "training part)",
    )
    bag_tiles: int = Field(
        default=2000, ge=1, description="most tiles of a patient that MIL sees, drawn with --seed"
    )
