"""Settings of heat maps."""

from typing import Self

from pydantic import Field, model_validator

from histo_ray.config import Settings
from histo_ray.settings import WHERE, Where


class HeatmapConfig(Settings):
    """Whose scores are shown, of which targets, on which slides."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    run: str | None = Field(
        default=None,
        description="evaluation whose out-of-fold heads are shown: a patient's tiles are scored by "
        "the heads that did not see the patient",
    )
    predictor: str | None = Field(
        default=None,
        description="predictor whose heads are shown: its name in the store, or its folder; for "
        "patients that it was fitted on, the out-of-fold heads of its evaluation",
    )
    class_encoder: str | None = Field(
        default=None,
        description="fine-tuned encoder: with neither --run nor --predictor, a map of the classes "
        "that its own tissue head sees; else the head of poolings by class",
    )
    target: tuple[str, ...] = Field(
        default=(), description="gene, or another target, to show; may be repeated"
    )
    slide: tuple[str, ...] = Field(
        min_length=1, description="slide_id of a slide to show; may be repeated"
    )
    encoder: str | None = Field(
        default=None, description="of --run, where it compares several: its name in the store"
    )
    tiling: str | None = Field(
        default=None,
        description="of --predictor or --class-encoder, where slides are there in several: its "
        "fingerprint, the first letters of it, or its mpp",
    )
    where: Where = Field(
        default=None,
        description=f"{WHERE} (default: that of --run, or which --predictor was fitted with)",
    )
    labels: str | None = Field(
        default=None, description="where the label file of the evaluation lies now, if not there"
    )
    manifest: str | None = Field(
        default=None,
        description="manifest that says where the slides lie now, if not where they were extracted",
    )
    top: int = Field(
        default=12, ge=1, le=60, description="highest and lowest tiles that are pictured"
    )
    overwrite: bool = Field(default=False, description="write files anew that are there already")

    @property
    def predictor_store(self) -> str:
        """Store that `predictor` is a name in; empty where it is a folder."""
        return "" if "/" in (self.predictor or "") else self.store

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.run and self.predictor:
            raise ValueError("run, predictor: give one of them")
        if not (self.run or self.predictor or self.class_encoder):
            raise ValueError(
                "run: needed, or predictor, or class_encoder for a map of classes of tissue"
            )
        for name in ("target", "slide"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: the same one twice in {list(values)}")
        return self
