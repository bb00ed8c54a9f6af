"""How an encoder is fine-tuned: typed recipes, a few of them known by name. No torch.

Every value is our choice, made on the data named in recipes.toml; the paper states none.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from histo_ray.config import Settings, digest, parse_settings
from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or
from histo_ray.types import JsonObject

NAMED = Path(__file__).parent / "recipes.toml"
DEFAULT = "default"
BatchNorm = Literal["frozen", "train", "recalibrate"]
_UNUSED: dict[str, object] = {
    "stain_swap": 0.0,
    "wise_ft": (),
    "infer_groups": False,
    "lora_rank": 0,
    "lora_alpha": 16.0,
    "lora_layers": ("qkv",),
}
"""Settings since 0.5.0, with the values that change nothing: a recipe that leaves them so keeps the
digest that it had."""


class _RecipePart(Settings):
    """Some settings of a recipe."""

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = serialise(self)
        return {
            key: value
            for key, value in values.items()
            if key not in _UNUSED or getattr(self, key) != _UNUSED[key]
        }


class AugmentConfig(_RecipePart):
    """Augmentation of training tiles; drawn anew in every epoch."""

    flips: bool = True
    rotations: bool = True
    """Quarter turns."""
    crop: float = Field(1.0, gt=0, le=1)
    """Least share of a tile's area that a random crop keeps; 1: no crops."""
    stain: float = Field(0.2, ge=0, le=1)
    """Half-width of the uniform factor on each stain's optical density; 0: no jitter."""
    stain_shift: float = Field(0.05, ge=0, le=1)
    """Half-width of the uniform offset added to each stain's optical density."""
    stain_swap: float = Field(0.0, ge=0, le=1)
    """Share of the tiles that take over the stain statistics of another training tile, before the
    jitter; 0: none."""


class HeadConfig(Settings):
    """Step 1: a head on the frozen encoder, whose features are computed once."""

    views: int = Field(1, ge=1, le=64)
    """Looks at each tile: the tile as it is, then augmented ones."""
    inverse_penalty: float = Field(0.01, gt=0)
    """C of the logistic regression on standardised features."""


class NetworkConfig(_RecipePart):
    """Step 2: the head and the upper part, or all, of the network."""

    epochs: int = Field(10, ge=0, le=10_000)
    """0: step 1 only."""
    rate: float = Field(3e-4, gt=0)
    """Learning rate (AdamW) of the head and the topmost layers."""
    layer_decay: float = Field(0.9, gt=0, le=1)
    """Factor on the rate from each of timm's layers to the one below it."""
    stages: int | None = Field(None, ge=1)
    """How many of the topmost stages (timm's coarse groups) are trained; None: all."""
    batch_norm: BatchNorm = "frozen"
    """`frozen`: eval mode; `train`: batch statistics; `recalibrate`: running statistics are
    measured first, with the output kept, then as `train` - for weights with folded batch norms."""
    weight_decay: float = Field(0.05, ge=0)
    warm_up: float = Field(0.1, ge=0, le=1)
    """Share of all steps in which the rate rises; then it falls along a cosine."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    clip: float = Field(5.0, gt=0)
    """Largest norm of a gradient; a longer one is shortened."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay a step of the moving average of all weights, which is then evaluated and
    published; 0: none."""
    patience: int | None = Field(None, ge=1)
    """Epochs without a better held-out accuracy after which training stops, and the best epoch is
    taken; None: all epochs are run and the last one is taken."""
    wise_ft: tuple[float, ...] = ()
    """Shares of the tuned weights, above 0 and at most 1, that are tried against those before step
    2 (WiSE-FT): the one with the best held-out accuracy is published. One needs no held-out tiles;
    none: the tuned weights alone."""
    lora_rank: int = Field(0, ge=0, le=1024)
    """Rank of the adapters (LoRA: Hu et al. 2021, arXiv 2106.09685) that are trained in place of
    the network's own weights; they alone are published, and merged into the base when it is loaded.
    0: none. Needs the extra `lora`."""
    lora_alpha: float = Field(16.0, gt=0)
    """An adapter's product is multiplied by this over the rank."""
    lora_layers: tuple[str, ...] = Field(("qkv",), min_length=1)
    """Last parts of the names of the linear layers that get adapters; of timm's vision transformers
    `qkv`, `proj`, `fc1` and `fc2`."""

    @model_validator(mode="after")
    def _check_adapters(self) -> Self:
        if self.lora_rank and self.stages is not None:
            raise ValueError(
                "lora_rank and stages do not go together: adapters leave the network's own weights "
                "as they are; leave one of both out"
            )
        if self.lora_rank and self.wise_ft:
            raise ValueError(
                "lora_rank and wise_ft do not go together: WiSE-FT mixes whole networks; leave one "
                "of both out"
            )
        return self

    @field_validator("wise_ft")
    @classmethod
    def _shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [share for share in shares if not 0 < share <= 1]
        if wrong:
            raise ValueError(f"{wrong[0]:g} is no share of the tuned weights: above 0, at most 1")
        return shares


class Recipe(_RecipePart):
    """All hyperparameters of a fine-tuning."""

    train_px: int | None = Field(None, ge=16, le=4096)
    """Edge of what the network sees in step 2; None: the encoder's own input."""
    batch_size: int = Field(32, ge=1, le=65_536)
    """Tiles a step, over all workers."""
    held_out: float = Field(0.1, ge=0, lt=1)
    """Share of the tiles that is held out, where no validation tiles are given; 0: none."""
    infer_groups: bool = False
    """Where tiles come without groups, hold out whole groups that are inferred from stain, colour
    and near-duplicates; single tiles that are held out share slides with those trained on."""
    macenko: bool = False
    """Normalise each tile's stain first. Slides to be extracted need the same."""
    augment: AugmentConfig = Field(default_factory=lambda: AugmentConfig.model_validate({}))
    head: HeadConfig = Field(default_factory=lambda: HeadConfig.model_validate({}))
    network: NetworkConfig = Field(default_factory=lambda: NetworkConfig.model_validate({}))

    def fingerprint(self) -> str:
        """SHA-256, in hex, over all values."""
        return digest(self.model_dump())


def read_recipe(source: str = DEFAULT, changes: Sequence[str] = ()) -> Recipe:
    """Find a recipe by name or in a TOML file.

    Args:
        source: A name of `list_recipes`, or the path of a TOML file.
        changes: `KEY=VALUE` on top, as in `network.epochs=5`.

    Raises:
        ConfigError: No such recipe or file, unknown keys, or values that are none.
    """
    if source in list_recipes():
        values = _named()[source]
    elif source.endswith(".toml"):
        values = _read_file(Path(source).expanduser())
    else:
        raise ConfigError(
            f"--recipe {source}: must be {join_or([*list_recipes(), 'a .toml file'])}"
            f"{did_you_mean(source, list_recipes())}"
        )
    for change in changes:
        values = _merge(values, _parse_change(change))
    recipe = parse_settings(Recipe, values, f"recipe {source!r}")
    if source in list_recipes() and "lora_rank" in _named()[source].get("network", {}):
        _check_rank(source, recipe)
    return recipe


def _check_rank(source: str, recipe: Recipe) -> None:
    """Refuse a recipe of adapters that was left without any."""
    if not recipe.network.lora_rank:
        raise ConfigError(
            f"--recipe {source} with network.lora_rank=0: without adapters the whole network would "
            "be trained, by settings made for adapters; give a rank of 1 or more, or another "
            "--recipe"
        )


def list_recipes() -> list[str]:
    """The recipes known by name."""
    return list(_named())


@cache
def _named() -> dict[str, JsonObject]:
    return tomllib.loads(NAMED.read_text(encoding="utf-8"))


def _read_file(path: Path) -> JsonObject:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"recipe {str(path)!r} cannot be read ({error.strerror}); check --recipe"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"recipe {str(path)!r} is not valid TOML ({error}); correct the file"
        ) from None


def _parse_change(change: str) -> JsonObject:
    """`network.epochs=5` as nested tables."""
    try:
        return tomllib.loads(change)
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"--set {change!r} must be KEY=VALUE in TOML, as in network.epochs=5 or "
            "network.batch_norm='train'"
        ) from None


def _merge(values: JsonObject, changes: JsonObject) -> JsonObject:
    """Tables are merged, anything else is replaced."""
    merged = dict(values)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged
