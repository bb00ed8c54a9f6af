"""A fine-tuning job (what is trained on which tiles) and its progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from histo_ray.config import digest
from histo_ray.encoders.base import EncoderSpec
from histo_ray.finetune.recipe import Recipe
from histo_ray.finetune.training_tiles import TileSubset

LOOP_VERSION = 1
"""Raised whenever the code changes the weights that the same settings lead to."""


@dataclass(frozen=True)
class FinetuneJob:
    """What is trained, on which tiles, and how."""

    spec: EncoderSpec
    """Spec of the base encoder, with nothing left open."""
    base_sha256: str
    """SHA-256, in hex, of the base encoder's weights."""
    train: TileSubset
    held_out: TileSubset | None
    recipe: Recipe
    seed: int
    save_every_s: float = 300.0
    """Between checkpoints within an epoch; one is saved after each epoch anyway."""
    loaders: int = 2
    """Threads that read tiles."""

    @property
    def input_px(self) -> int:
        """Edge of what the encoder's network sees."""
        return self.spec.input_px or 224

    @property
    def train_px(self) -> int:
        """Edge of what the network sees in step 2."""
        return self.recipe.train_px or self.input_px

    @property
    def interpolation(self) -> str:
        """How the encoder resizes tiles."""
        return self.spec.interpolation or "bicubic"

    def fingerprint(self, workers: int) -> str:
        """SHA-256, in hex, of everything that decides the weights but the machine."""
        held = self.held_out
        return digest(
            {
                "version": LOOP_VERSION,
                "base": self.base_sha256,
                "spec": self.spec.model_dump(exclude={"name", "request", "file", "about"}),
                "tiles": self.train.tiles.digest,
                "rows": self.train.rows.tolist(),
                "held_out": None if held is None else [held.tiles.digest, held.rows.tolist()],
                "recipe": self.recipe.model_dump(),
                "seed": self.seed,
                "workers": workers,
            }
        )


class TrainingProgress(NamedTuple):
    """How far training is."""

    step: str
    """`head` or `network`."""
    epoch: int
    """The one at work, from 1."""
    epochs: int
    batch: int
    """Batches done of it."""
    batches: int
    loss: float
    """Mean over the epoch so far; nan in step 1."""
    accuracy: float
    held_out_accuracy: float
    """After the last whole epoch; nan before, and without held-out tiles."""
    images_per_s: float
    seconds_left: float
    """Seconds until this step ends, at the present speed."""


ReportProgress = Callable[[TrainingProgress], None]
