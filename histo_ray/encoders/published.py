"""Encoders that fine-tuning has published into a store: `models/<name>/`. Quick, without torch.

The card, `model.json`, is written last: where it is, the model is whole.
"""

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import Field

from histo_ray.config import Settings, parse_settings
from histo_ray.encoders.base import NAME_PATTERN, EncoderSpec
from histo_ray.errors import ConfigError
from histo_ray.storage import is_local, locate
from histo_ray.storage.files import open_file
from histo_ray.storage.seal import check_bytes, strip_marks

if TYPE_CHECKING:
    import torch

MODELS = "models"
CARD, WEIGHTS_FILE = "model.json", "model.safetensors"
HEAD_PREFIX = "classification_head."
"""Begins the names of the head's weights, which lie in the same file as the network's."""
CARD_VERSION = 2
SEALED_VERSION = 2
"""From this version on a card ends with the digest of its own bytes."""


class Base(Settings):
    """What was fine-tuned."""

    name: str
    request: str
    weights_sha256: str
    licence: str = ""


class Metrics(Settings):
    """On the held-out tiles; None without any."""

    accuracy: float | None = None
    balanced_accuracy: float | None = None
    loss: float | None = None
    recall: dict[str, float | None] = Field(default_factory=dict)
    """By class; None for one without held-out tiles."""
    first_accuracy: float | None = None
    """After step 1: a new head on the base as it was."""
    second_accuracy: float | None = None
    """After step 2: the network trained, too. The better of the two is published; `epoch` of the
    card says which."""


class Data(Settings):
    """The labelled tiles."""

    name: str
    digest: str
    """SHA-256 over labels and decoded pixels."""
    train: dict[str, int]
    """Tiles of each class that were learned from."""
    held_out: dict[str, int]
    held_out_from: str
    """`the same tiles, by group`, `the same tiles, groups unknown: leakage cannot be excluded`,
    the name of another set, or empty."""


class ModelCard(Settings):
    """`model.json`: where a published encoder comes from."""

    format_version: int = CARD_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    created: str
    """ISO 8601, UTC."""
    fingerprint: str
    """SHA-256 over everything that decided the weights but the machine."""
    weights_sha256: str
    """SHA-256 of the encoder's weights, as in the receipts of its embeddings; without the head."""
    file_sha256: str
    """SHA-256 of the bytes of model.safetensors."""
    encoder: EncoderSpec
    """Architecture, input, normalisation and pooling."""
    base: Base
    classes: tuple[str, ...]
    """Rows of the head."""
    data: Data
    recipe: dict[str, Any]
    seed: int
    workers: int
    epoch: int
    """Of step 2 from which the weights are; 0: step 1 alone."""
    metrics: Metrics
    device: str
    versions: dict[str, str]

    @property
    def licence(self) -> str:
        """Licence of the base, which also binds what was made from it."""
        return self.base.licence


def find_published(store: str, name: str) -> EncoderSpec | None:
    """The encoder that a store holds under `name`; None if it holds none.

    Raises:
        ConfigError: The store cannot be reached, or the card not be read.
    """
    card = read_card(store, name)
    return None if card is None else _spec_of(card, store)


def list_published(store: str) -> list[EncoderSpec]:
    """All encoders published into a store, by name.

    Raises:
        ConfigError: The store cannot be reached, or a card not be read.
    """
    from pyarrow import fs

    system, root = locate(store)
    try:
        found = system.get_file_info(fs.FileSelector(f"{root}/{MODELS}", allow_not_found=True))
    except OSError as error:
        raise _unreachable(store, error) from None
    cards = [read_card(store, name) for name in sorted(info.base_name for info in found)]
    return [_spec_of(card, store) for card in cards if card is not None]


def read_card(store: str, name: str) -> ModelCard | None:
    """The card of a published encoder; None if there is none.

    Raises:
        ConfigError: The store cannot be reached, or the card not be read.
    """
    data = _read(store, name, CARD) if re.fullmatch(NAME_PATTERN, name) else None
    if data is None:
        return None
    origin = f"{store}/{MODELS}/{name}/{CARD}"
    try:
        values = json.loads(data)
        version = values.get("format_version")
    except (ValueError, AttributeError):
        raise ConfigError(
            f"{origin} is damaged: it is no JSON; restore it, or fine-tune again under another name"
        ) from None
    if not isinstance(version, int) or version > CARD_VERSION:
        raise ConfigError(
            f"{origin} has the format version {version}, and this histo-ray reads versions up to "
            f"{CARD_VERSION}; upgrade histo-ray"
        )
    if check_bytes(data) != ("unsealed" if version < SEALED_VERSION else "sealed"):
        raise ConfigError(
            f"{origin} is damaged: its bytes are not those that were written; restore it from a "
            "copy, or fine-tune again under another name"
        )
    card = parse_settings(ModelCard, strip_marks(values), origin)
    if card.name != name:
        raise ConfigError(
            f"{origin} is the card of {card.name!r}, not of {name!r}; rename the folder back"
        )
    return card


def read_published(store: str, name: str) -> "dict[str, torch.Tensor]":
    """Weights of a published encoder's network, held against the digest on its card.

    Raises:
        ConfigError: Not there, damaged, or not what the card says.
    """
    return {k: v for k, v in _read_weights(store, name).items() if not k.startswith(HEAD_PREFIX)}


def read_head(store: str, name: str) -> "tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]":
    """The head that was trained with an encoder: features to logits.

    Returns:
        Weight (classes, dim), bias (classes,), and the classes' names.

    Raises:
        ConfigError: Not there, damaged, or not what the card says.
    """
    weights = _read_weights(store, name)
    card = read_card(store, name)
    classes = card.classes if card else ()
    return weights[HEAD_PREFIX + "weight"], weights[HEAD_PREFIX + "bias"], classes


def _read_weights(store: str, name: str) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load

    card, data = read_card(store, name), _read(store, name, WEIGHTS_FILE)
    if card is None or data is None:
        raise ConfigError(
            f"encoder {name!r}: {store}/{MODELS} holds no published encoder of that name; "
            "check --store, which every node must see"
        )
    if hashlib.sha256(data).hexdigest() != card.file_sha256:
        raise ConfigError(
            f"encoder {name!r}: {WEIGHTS_FILE} is not the file that {CARD} names by its SHA-256; "
            "restore it, or fine-tune again under another name"
        )
    try:
        return load(data)
    except SafetensorError as error:
        raise ConfigError(
            f"encoder {name!r}: {WEIGHTS_FILE} is damaged ({str(error)[:120]}); "
            "restore it, or fine-tune again under another name"
        ) from None


def _spec_of(card: ModelCard, store: str) -> EncoderSpec:
    """The card's spec, bound to where the weights are."""
    where = store if "://" in store else locate(store)[1]  # absolute: workers run elsewhere
    update = {"published": where, "published_name": card.name, "request": card.name}
    return card.encoder.model_copy(update=update | {"weights_sha256": card.weights_sha256})


def _read(store: str, name: str, file: str) -> bytes | None:
    from pyarrow import fs

    system, root = locate(store)
    path = f"{root}/{MODELS}/{name}/{file}"
    try:
        if system.get_file_info([path])[0].type != fs.FileType.File:
            return None
        with open_file(system, path) as stream:
            return bytes(stream.readall())
    except OSError as error:
        if is_local(system) and isinstance(error, FileNotFoundError):
            return None
        raise _unreachable(store, error) from None


def _unreachable(store: str, error: OSError) -> ConfigError:
    problem = " ".join(str(error).split())[:200]
    return ConfigError(f"store {store} cannot be read ({problem}); check --store")
