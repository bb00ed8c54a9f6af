"""Settings of attention heads. No torch, so that a search can name them without it."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from histo_ray.config import Settings
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.networks.registry import (
    find_network,
    network_names,
    rates,
    settings_of_others,
)


class MilSettings(Settings):
    """How an attention head is built and trained."""

    network: str = Field(default="abmil", description="network: " + ", ".join(network_names()))
    hidden: int = Field(default=64, ge=1, le=4096, description="width a tile is projected to")
    attention: int = Field(default=32, ge=1, le=4096, description="width of the gated attention")
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of projected values dropped in training, the same of all tiles of a bag",
    )
    rate: float = Field(
        default=3e-3,
        gt=0,
        le=1,
        description="learning rate of AdamW; the default of transformer is 0.001",
    )
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
        default=5,
        ge=1,
        le=20,
        description="networks trained side by side, each from a seed of its own and stopped by "
        "other bags (as far as stop_share leaves so many parts), whose outputs are averaged",
    )
    member_seeds: Literal["own", "shared"] = Field(
        default="own",
        description="shared: members draw from one stream, as versions before 0.5 did",
    )
    balanced: bool = Field(
        default=False,
        description="both classes weigh the same in the loss; probabilities stay fit "
        "for the classes' true shares",
    )
    instance_weight: float = Field(
        default=0.3, ge=0, lt=1, description="clam: share of the loss that is of tiles"
    )
    instance_tiles: int = Field(
        default=8, ge=1, description="clam: most and least attended tiles of a bag in that loss"
    )
    inducing: int = Field(default=16, ge=1, le=1024, description="transformer: learned points")
    transformer_heads: int = Field(
        default=4, ge=1, le=64, description="transformer: heads of its attention; divide hidden"
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where it runs")

    @model_validator(mode="before")
    @classmethod
    def _take_the_rate_of_the_network(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "rate" in given:
            return given
        own, name = rates(), given.get("network")
        return {**given, "rate": own[name]} if name in own else given

    @field_validator("network")
    @classmethod
    def _a_known_network(cls, name: str) -> str:
        try:
            return find_network(name).name
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.network == "transformer" and self.hidden % self.transformer_heads:
            raise ValueError(
                f"hidden: {self.hidden}, must be a multiple of transformer_heads "
                f"({self.transformer_heads})"
            )
        return self

    @property
    def stop_folds(self) -> int:
        """Inner folds of the training part; members are stopped by them in turn."""
        return round(1 / self.stop_share)

    def to_record(self) -> dict[str, JsonValue]:
        """Settings as runs are named by.

        Those that other networks read are left out, and those that came with version 0.5 where they
        say what was done before.
        """
        found: dict[str, JsonValue] = self.model_dump()
        for name in settings_of_others(self.network):
            del found[name]
        if self.network == _BEFORE["network"]:
            del found["network"]
        if self.members == 1 or self.member_seeds == _BEFORE["member_seeds"]:
            del found["member_seeds"]
        return found

    @classmethod
    def from_record(cls, record: Mapping[str, JsonValue]) -> Self:
        """The inverse of `to_record`; `task`, which stands beside them in runs, is left out.

        Raises:
            pydantic.ValidationError: They are none.
        """
        given = {**_BEFORE, **{name: value for name, value in record.items() if name != "task"}}
        return cls.model_validate(given)


_BEFORE: dict[str, JsonValue] = {"network": "abmil", "member_seeds": "shared"}
"""What versions before 0.5 did, and their records do not say."""
