"""Settings of the viewer."""

from pydantic import Field

from histo_ray.config import Settings


class ViewConfig(Settings):
    """Which store is shown, and what beside it."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store; only read")
    encoder: str | None = Field(
        default=None, description="whose tiles are shown first, where a slide has several"
    )
    tiling: str | None = Field(
        default=None,
        description="which tiling is shown first, where a slide has several: its fingerprint",
    )
    manifest: str | None = Field(
        default=None,
        description="manifest that says where the slides lie now, if not where they were extracted",
    )
    labels: str | None = Field(
        default=None,
        description="table whose columns are shown beside slides: CSV or Parquet with the column "
        "slide_id or patient_id",
    )
    scores: tuple[str, ...] = Field(
        default=(),
        description="file or folder of tile scores or classes that histo-ray heatmap wrote, to lay "
        "over slides; may be repeated",
    )
    predictor: tuple[str, ...] = Field(
        default=(),
        description="folder of a predictor of another store to lay over slides, beside those of "
        "this one; may be repeated",
    )
    target: tuple[str, ...] = Field(
        default=(),
        description="target of predictors that is offered; may be repeated; without it the twelve "
        "that each predicts best",
    )
    remote_slides: bool = Field(
        default=False,
        description="open slides in object stores, too: some are brought to this machine whole",
    )
    port: int = Field(
        default=0, ge=0, le=65_535, description="port of 127.0.0.1 to listen on; 0: a free one"
    )
    browser: bool = Field(
        default=False, description="open the address in this machine's web browser"
    )
