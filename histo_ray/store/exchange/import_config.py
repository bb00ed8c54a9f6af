"""Settings of an import; every field is also a flag of `store import`."""

from typing import Literal

from pydantic import Field, field_validator

from histo_ray.settings import Settings
from histo_ray.store.exchange.scale import StatedScale


class ImportConfig(Settings):
    """One import: features of another tool, one encoder at a time."""

    folder: str = Field(description="local folder of the features")
    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    encoder: str = Field(
        description="name that the embeddings get in the store; one that is in use for others, "
        "own or imported, is refused"
    )
    layout: str | None = Field(
        default=None, description="whose layout it is (default: told by the files)"
    )
    source_encoder: str | None = Field(
        default=None, description="encoder's name in the folder, where it holds several"
    )
    manifest: str | None = Field(
        default=None,
        description="CSV or Parquet with slide_id, and patient_id, site, mpp and path where "
        "known; slides need not be there (default: every slide in the folder, its patient by "
        "TCGA barcode or its own name)",
    )
    slide: tuple[str, ...] = Field(
        default=(), description="slide_id of a slide to import; may be repeated (default: all)"
    )
    coords: str | None = Field(
        default=None, description="folder of coordinates, where the tool keeps them elsewhere"
    )
    mpp: float | None = Field(
        default=None, ge=0.05, le=20, description="mpp of the tiles, where the source has none"
    )
    slide_mpp: float | None = Field(
        default=None,
        ge=0.05,
        le=20,
        description="mpp of level 0 of slides, where source, manifest and slide have none",
    )
    tile_px: int | None = Field(
        default=None, ge=1, le=16384, description="edge of a tile at --mpp, where not stated"
    )
    side_px: float | None = Field(
        default=None, gt=0, le=1e6, description="edge of a tile in level-0 px, where not stated"
    )
    weights_sha256: str | None = Field(
        default=None, description="SHA-256 of the encoder's weights (default: unknown)"
    )
    dtype: Literal["float16", "float32"] | None = Field(
        default=None, description="of the stored vectors (default: as in the source)"
    )
    format: Literal["parquet", "zarr"] = Field(
        default="parquet", description="form of the partitions"
    )
    replace_changed: bool = Field(
        default=False, description="import again what has changed since it was stored"
    )

    @field_validator("weights_sha256")
    @classmethod
    def _check_digest(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 64 or set(value) - set("0123456789abcdef")):
            raise ValueError("must be 64 hex digits in small letters, as sha256sum prints them")
        return value

    @property
    def stated_scale(self) -> StatedScale:
        """What it says of the tiles' scale."""
        return StatedScale(self.slide_mpp, self.mpp, self.tile_px, self.side_px)
