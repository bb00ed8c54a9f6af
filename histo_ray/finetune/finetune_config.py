"""Settings of one fine-tuning. No torch."""

from typing import Self

from pydantic import Field, model_validator

from histo_ray.config import Settings, check_labels
from histo_ray.encoders.base import NAME_PATTERN, Device, Precision
from histo_ray.finetune.recipe import DEFAULT, Recipe, read_recipe


class FinetuneConfig(Settings):
    """One fine-tuning: labelled tiles, a base encoder, and how to run it."""

    tiles: str = Field(
        description="folder with one folder a class, or a CSV or Parquet with path, label[, group]"
    )
    encoder: str = Field(description="base: the encoder to fine-tune, as for extract")
    name: str = Field(
        pattern=NAME_PATTERN, description="of the new encoder; never used for other weights"
    )
    store: str = Field(description="folder or s3:// or gs:// URI of the store to publish into")
    validation: str | None = Field(
        default=None,
        description="labelled tiles to evaluate on (default: a held-out part of --tiles)",
    )
    recipe: str = Field(default=DEFAULT, description="name of a recipe, or a TOML file with one")
    set: tuple[str, ...] = Field(
        default=(), description="KEY=VALUE on top of the recipe, as in network.epochs=5"
    )
    encoder_table: tuple[str, ...] = Field(
        default=(), description="TOML file with encoders of your own; may be repeated"
    )
    seed: int = Field(default=0, ge=0, description="of all random numbers")
    device: Device = Field(default="auto", description="where the network runs")
    precision: Precision = Field(
        default="auto", description="arithmetic; auto: float32 on CPU, bfloat16 or float16 on GPU"
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of a worker (default: all cores)"
    )
    loaders: int = Field(default=2, ge=1, le=256, description="threads of a worker that read tiles")
    memory_gb: float = Field(
        default=4.0, ge=0, description="decoded tiles that a worker keeps in memory"
    )
    save_every_s: float = Field(
        default=300.0, ge=0, description="between checkpoints within an epoch"
    )
    workers: int = Field(default=1, ge=1, description="processes that share each batch")
    accelerator_type: str | None = Field(
        default=None,
        description="train on GPUs of this kind only, as Ray names it: A100, H100, L4, ...",
    )
    node_label: tuple[str, ...] = Field(
        default=(),
        description="train on nodes with this label of Ray only: KEY=VALUE, KEY=!VALUE, "
        "KEY=in(A,B); may be repeated",
    )
    address: str = Field(
        default="local",
        description="Ray to run on: local (one worker needs no Ray), auto, or ray://host:port",
    )

    @model_validator(mode="after")
    def _labels_of_nodes(self) -> Self:
        check_labels("--node-label", self.node_label)
        return self

    def read_recipe(self) -> Recipe:
        """The recipe with `set` on top.

        Raises:
            ConfigError: Unknown, unreadable, or not a recipe.
        """
        return read_recipe(self.recipe, self.set)
