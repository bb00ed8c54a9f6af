"""Cards of published encoders, `models/<name>/` of a store: written and read here, without torch.

The card, `model.json`, is written last: where it is, the model is whole.
"""

import hashlib
import json
import re

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from histo_ray.config import Settings, parse_settings
from histo_ray.encoder_spec import NAME_PATTERN, EncoderSpec
from histo_ray.errors import ConfigError, StoreError, UnreachableError
from histo_ray.storage.seal import check_bytes, seal_json, strip_marks
from histo_ray.store.location import Location, location_of
from histo_ray.store.partition import first_line
from histo_ray.types import JsonObject

MODELS = "models"
CARD, WEIGHTS_FILE = "model.json", "model.safetensors"
HEAD_PREFIX = "classification_head."
"""Begins the names of the head's weights, which lie in the same file as the network's."""
CARD_VERSION = 4
"""4: the file of weights holds adapters, and the card their base. Others are of `PLAIN_VERSION`."""
PLAIN_VERSION = 3
"""3: the card names `trained_on.parquet` by its SHA-256."""
SEALED_VERSION = 2
"""From this version on a card ends with the digest of its own bytes."""
_REMEDY = "restore it from a copy, or fine-tune again under another name"


class Base(Settings):
    """The encoder that was fine-tuned."""

    name: str
    request: str
    weights_sha256: str
    licence: str = ""


class Metrics(Settings):
    """Scores on the held-out tiles; None without any."""

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
    wise_ft: float | None = None
    """Share of the tuned weights in those after step 2 (WiSE-FT); None without it."""
    wise_ft_accuracy: dict[str, float | None] = Field(default_factory=dict)
    """Held-out accuracy of each share that was tried; None without held-out tiles."""


class Data(Settings):
    """The labelled tiles that an encoder was fine-tuned on."""

    name: str
    digest: str
    """SHA-256 over labels and decoded pixels."""
    train: dict[str, int]
    """Tiles of each class that it was trained on."""
    held_out: dict[str, int]
    """Tiles of each class that it was evaluated on."""
    held_out_from: str
    """`the same tiles, by group` (or by inferred groups), `the same tiles, groups unknown: leakage
    cannot be excluded`, the name of another set, or empty."""
    trained_on_sha256: str | None = None
    """SHA-256 of the bytes of `trained_on.parquet`; None for cards from before 0.5.0."""


class Adapter(Settings):
    """Adapters of low rank, which are all that the file of weights holds beside the head."""

    rank: int
    scale: float
    """Factor of the product of both halves."""
    layers: tuple[str, ...]
    """Last parts of the names of layers that have one."""
    parameters: int
    share: float
    """Share of the base's number of parameters, 0..1."""
    base: EncoderSpec
    """What has to be loaded, and be of `Base.weights_sha256`, before they are merged."""


class ModelCard(Settings):
    """`model.json`: where a published encoder comes from."""

    format_version: int = PLAIN_VERSION
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
    recipe: JsonObject
    seed: int
    workers: int
    epoch: int
    """Epoch of step 2 that the weights are from; 0: step 1 alone."""
    metrics: Metrics
    device: str
    versions: dict[str, str]
    adapter: Adapter | None = None
    """None: the file holds the whole network."""

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = serialise(self)
        if values.get("adapter", 0) is None:
            del values["adapter"]
        return values

    @property
    def licence(self) -> str:
        """Licence of the base, which also binds what was made from it."""
        return self.base.licence


def encode_card(card: ModelCard) -> bytes:
    """The bytes of `model.json`, with their own digest as the last entry."""
    return seal_json(card.model_dump(mode="json"), indent=2)


def locate_models(store: str) -> Location:
    """The root of a store whose cards are read; the store itself need not be whole.

    Raises:
        ConfigError: Not a path or URI, or a store that cannot be reached.
    """
    return location_of(store)


def read_card(root: Location, name: str) -> ModelCard | None:
    """Read the card of a published encoder.

    Returns:
        None if the store has no encoder of that name; any text may be asked for.

    Raises:
        StoreError: The card is damaged, or of a newer version.
        UnreachableError: The store does not answer.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        return None
    location = root.child(f"{MODELS}/{name}/{CARD}")
    data = _read_bytes(location)
    if data is None:
        return None
    try:
        values = json.loads(data)
        version = values.get("format_version")
    except (ValueError, AttributeError):
        raise StoreError(f"{location.path} is damaged: it is no JSON object; {_REMEDY}") from None
    if not isinstance(version, int):
        raise StoreError(f"{location.path} is damaged: it states no format version; {_REMEDY}")
    if version > CARD_VERSION:
        raise StoreError(
            f"{location.path} has the format version {version}, and this histo-ray reads versions "
            f"up to {CARD_VERSION}; upgrade histo-ray"
        )
    if check_bytes(data) != ("unsealed" if version < SEALED_VERSION else "sealed"):
        raise StoreError(
            f"{location.path} is damaged: its bytes are not those that were written; {_REMEDY}"
        )
    try:
        card = parse_settings(ModelCard, strip_marks(values), location.path)
    except ConfigError as error:
        raise StoreError(f"{error}; {_REMEDY}") from None
    if card.name != name:
        raise StoreError(
            f"{location.path} is the card of {card.name!r}, not of {name!r}; rename the folder back"
        )
    return card


def list_names(root: Location) -> list[str]:
    """Names of the encoders that are published into a store, sorted; cards are not read."""
    names = root.child(MODELS).names()
    return [name for name in names if root.child(f"{MODELS}/{name}/{CARD}").kind()]


def read_weights(root: Location, card: ModelCard) -> bytes:
    """Read the file with the weights of a published encoder and of its head (safetensors).

    Raises:
        StoreError: It is not there, or not the file that the card names.
        UnreachableError: The store does not answer.
    """
    location = root.child(f"{MODELS}/{card.name}/{WEIGHTS_FILE}")
    data = _read_bytes(location)
    if data is None:
        raise StoreError(f"{location.path} is missing, though its card is there; {_REMEDY}")
    if hashlib.sha256(data).hexdigest() != card.file_sha256:
        raise StoreError(
            f"{location.path} is not the file that {CARD} names by its SHA-256; {_REMEDY}"
        )
    return data


def _read_bytes(location: Location) -> bytes | None:
    """All of a file; None if it is not there."""
    try:
        return location.read_bytes() if location.kind() == "file" else None
    except UnreachableError:
        raise
    except FileNotFoundError:  # removed just now
        return None
    except OSError as error:
        raise StoreError(
            f"{location.path} is not readable ({first_line(error)}); {_REMEDY}"
        ) from None
