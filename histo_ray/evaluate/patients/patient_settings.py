"""Settings that all evaluations on patients share."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histo_ray.labels.label_settings import LabelSettings
from histo_ray.settings import WHERE, Where

ADDRESS = (
    "where the work is done: none (this process, without Ray), local (a Ray on this machine), auto "
    "(a running one), or ray://host:port; left out: this process where that is quicker, else local"
)
"""What `--address` of evaluations means."""

OF_MANIFEST = (
    "CSV, TSV or Parquet with a row a patient or slide; may be .gz (default: further columns of "
    "the manifest, as the newest extraction kept them in the store)"
)
"""What `--labels` means where it may be left out."""
KeepTogether = Literal["patient", "site"]


class PatientConfig(LabelSettings):
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
        "classes, slide:NAME, ...; repeat it and the best by inner folds of each training part is "
        "taken",
    )
    where: Where = Field(default=None, description=WHERE)
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
    leave_out: Literal["fold", "site"] = Field(
        default="fold",
        description="what is tested at once: a fold that is drawn, or one site after another, each "
        "by heads of all other sites (once, so folds and repeats have no say)",
    )
    covariate: tuple[str, ...] = Field(
        default=(),
        description="column that says what is known of patients beside slides (age, stage, ...); "
        "repeat it: covariates alone, and images beyond them, are then evaluated too",
    )
    covariate_file: str | None = Field(
        default=None,
        description="CSV, TSV or Parquet with the covariates, a row a patient or slide (default: "
        "the label table, then the store's manifest)",
    )
    harmonise: Literal["none", "center", "combat"] = Field(
        default="none",
        description="make features of sites alike inside training parts, without labels: center "
        "(each site's mean), combat (location and scale by empirical Bayes)",
    )
    fold_file: str | None = Field(
        default=None,
        description="Parquet with item (patient_id), repeat, fold; in place of drawn folds",
    )
    inner_folds: int = Field(
        default=5, ge=2, le=20, description="of a training part, where a head chooses by them"
    )
    inner_choice: Literal["shared", "leave-one-out"] = Field(
        default="shared",
        description="where heads compete or groups stay together, ridge chooses on the inner folds "
        "that all heads share; leave-one-out: one patient at a time, as before 0.5, to repeat "
        "older runs",
    )
    penalty_by: Literal["inner-folds", "alo"] = Field(
        default="inner-folds",
        description="by what logistic heads choose their penalty: inner-folds, or alo (approximate "
        "leave-one-out: quicker; inner folds all the same where heads compete or groups stay "
        "together)",
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
    subgroup: tuple[str, ...] = Field(
        default=(),
        description="column of --labels, or of --subgroup-file, by which scores are given, too: "
        "sex, stage, ...; repeat it (by site they are given anyway)",
    )
    subgroup_file: str = Field(
        default="",
        description="CSV, TSV or Parquet with the columns of --subgroup, a row a patient or slide, "
        "as the manifest (default: --labels)",
    )
    subgroup_id_column: str | None = Field(
        default=None, description="column of --subgroup-file with patients (default: patient_id)"
    )
    site_check: bool = Field(
        default=True,
        description="see how well each encoder tells a patient's site: a few CPU seconds each",
    )
    check: bool = Field(
        default=False,
        description="hold every stored vector against its digest before anything is trained on it",
    )
    allow_leak: bool = Field(
        default=False,
        description="evaluate a fine-tuned encoder on patients whose tiles it was tuned on, too; a "
        "caveat says so",
    )
    remark: str = Field(default="", description="a line that the report prints at the top")
    address: str = Field(
        default="local",
        description=ADDRESS,
    )

    @model_validator(mode="after")
    def _file_of_subgroups(self) -> Self:
        for name in ("subgroup_file", "subgroup_id_column"):
            if getattr(self, name) and not self.subgroup:
                raise ValueError(f"{name}: only with subgroup; name the column, too")
        if self.subgroup_id_column and not self.subgroup_file:
            raise ValueError("subgroup_id_column: only with subgroup_file; id_column is of labels")
        return self

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for name in ("encoder", "pooling", "head", "subgroup", "covariate"):
            values = getattr(self, name, ())
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: the same one twice in {list(values)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _keep_sites_that_are_left_out(cls, given: object) -> object:
        if not isinstance(given, dict) or given.get("leave_out", "fold") != "site":
            return given
        if given.get("fold_file") is not None:
            raise ValueError(
                "leave_out site makes the folds, so fold_file has no say; give one of them"
            )
        if given.get("keep_together", "site") != "site":
            raise ValueError("leave_out site keeps sites together; leave keep_together out")
        return {**given, "keep_together": "site"}

    @property
    def head_names(self) -> tuple[str, ...]:
        """Heads that are asked for; each task has its own field `head`."""
        names: tuple[str, ...] = getattr(self, "head", ())
        return names
