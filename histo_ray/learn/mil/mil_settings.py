"""Settings of attention heads. No torch, so that a search can name them without it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histo_ray.config import Settings


class MilSettings(Settings):
    """How a gated attention head is built and trained."""

    hidden: int = Field(default=64, ge=1, le=4096, description="width a tile is projected to")
    attention: int = Field(default=32, ge=1, le=4096, description="width of the gated attention")
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of projected values dropped in training, the same of all tiles of a bag",
    )
    rate: float = Field(default=3e-3, gt=0, le=1, description="learning rate of AdamW")
    weight_decay: float = Field(default=1e-2, ge=0, description="of AdamW, decoupled")
    epochs: int = Field(default=100, ge=1, le=10_000, description="passes over the bags at most")
    patience: int = Field(
        default=20, ge=1, description="epochs without a lower held-out loss before it stops"
    )
    tiles_per_bag: int = Field(
        default=512,
        ge=1,
        description="tiles drawn from a bag anew in each step; predicting takes all of them",
    )
    batch: int = Field(default=16, ge=1, description="bags a step")
    stop_share: float = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="share of the training part's bags held out for early stopping",
    )
    members: int = Field(
        default=1,
        ge=1,
        le=20,
        description="heads trained side by side, each stopped by other bags, and averaged",
    )
    balanced: bool = Field(
        default=False,
        description="both classes weigh the same in the loss; probabilities stay fit "
        "for the classes' true shares",
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where it runs")

    @property
    def stop_folds(self) -> int:
        """Inner folds of the training part; each member is stopped by another."""
        return round(1 / self.stop_share)

    @model_validator(mode="after")
    def _a_part_for_each_member(self) -> Self:
        if self.members > self.stop_folds:
            raise ValueError(
                f"members: {self.members}, must be {self.stop_folds} or fewer, as stop_share "
                f"{self.stop_share:g} leaves so many parts to stop on"
            )
        return self
