"""Settings of `encode-slides` and `fit-slide-encoder`; each field is a flag and a keyword."""

from typing import Literal

from pydantic import Field

from histo_ray.encoder_spec import NAME_PATTERN
from histo_ray.pooling.slide_encoders.base import SlideSettings
from histo_ray.settings import Settings

OF_TILING = (
    "tiling of the tiles, where the store holds several: its fingerprint, the first letters of it, "
    "or its mpp"
)


class EncodeSlidesConfig(Settings):
    """One run that makes vectors of slides."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    encoder: str = Field(description="tile encoder whose embeddings are read")
    slide_encoder: tuple[str, ...] = Field(
        min_length=1,
        description="slide encoder: a name (encode-slides --list shows them), or a plugin as "
        "module:object; ?name=NAME stores it under another name, ?file=PATH names weights of one "
        "of the table; may be repeated",
    )
    tiling: str | None = Field(default=None, description=OF_TILING)
    slide: tuple[str, ...] = Field(
        default=(), description="slide that is encoded; may be repeated (default: all)"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where networks run; methods of ours always use the CPU"
    )
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of networks")
    trust_remote_code: tuple[str, ...] = Field(
        default=(),
        description="commit (40 hex digits) of the repository whose Python code a slide encoder "
        "may run, or NAME=COMMIT",
    )
    allow_contract_break: bool = Field(
        default=False,
        description="encode tiles of another size, mpp or tile encoder than the slide encoder was "
        "made for; receipts keep it",
    )


class FitSlideEncoderConfig(SlideSettings):
    """One fit of a slide encoder."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    name: str = Field(pattern=NAME_PATTERN, description="name under which it is published")
    method: str = Field(
        default="vlad",
        description="vlad, fisher or mixture, without labels; attention: of a fitted predictor",
    )
    encoder: str = Field(
        default="", description="tile encoder whose embeddings are read; of attention the "
        "predictor says it",
    )  # fmt: skip
    tiling: str | None = Field(default=None, description=OF_TILING)
    predictor: str = Field(
        default="",
        description="attention: predictor in the store with attention heads (fit --head mil)",
    )
    patients: str = Field(
        default="",
        description="file with a patient_id a line: fit on these alone, so that all others can be "
        "evaluated unseen (default: all)",
    )
    patient_hashes: bool = Field(
        default=True,
        description="keep salted hashes of the patients, by which an evaluation finds that they "
        "were seen",
    )
