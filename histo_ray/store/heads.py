"""The class head of a published encoder: `models/<name>/` of a store, read without torch.

`encoders.published` writes and reads the same files; the two rooms do not know each other, so the
names are said in both, and a test holds them together.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from histo_ray.errors import StoreError
from histo_ray.pooling.class_weights import ClassHead
from histo_ray.storage.seal import check_bytes
from histo_ray.store.catalog import name_some
from histo_ray.store.layout import check_slug
from histo_ray.store.partition import first_line
from histo_ray.store.place import Place

MODELS = "models"
CARD, WEIGHTS_FILE = "model.json", "model.safetensors"
HEAD_PREFIX = "classification_head."


@dataclass(frozen=True)
class HeadCard:
    """The part of a published encoder's card that concerns its head."""

    name: str
    classes: tuple[str, ...]
    """Rows of the head."""
    weights_sha256: str
    """Digest of the encoder's weights, as in the receipts of its embeddings."""
    file_sha256: str
    """Digest of the file with both the encoder's and the head's weights."""


def find_head_card(root: Place, name: str) -> HeadCard | None:
    """The card of a published encoder; None if the store has none of that name.

    Raises:
        StoreError: It cannot be read, or `name` is no slug.
    """
    place = root.child(f"{MODELS}/{check_slug('encoder', name)}/{CARD}")
    if not place.kind():
        return None
    try:
        data = place.read_bytes()
        said = json.loads(data)
        if check_bytes(data) != ("unsealed" if said.get("format_version") == 1 else "sealed"):
            raise ValueError("its bytes are not those that were written")
        classes = tuple(str(label) for label in said["classes"])
        return HeadCard(name, classes, str(said["weights_sha256"]), str(said["file_sha256"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place.path}: the card of the encoder is damaged ({first_line(error)}); restore it "
            "from a copy, or fine-tune again under another name"
        ) from None


def read_head(root: Place, card: HeadCard) -> ClassHead:
    """The head that a card describes.

    Raises:
        StoreError: Its file is not there, damaged, or not the one of the card.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    place = root.child(f"{MODELS}/{card.name}/{WEIGHTS_FILE}")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise _unfit(place, f"not readable ({error})") from None
    if hashlib.sha256(data).hexdigest() != card.file_sha256:
        raise _unfit(place, f"not the file that {CARD} names by its SHA-256")
    try:
        weights = load(data)
        weight, bias = (
            weights[HEAD_PREFIX + part].astype(np.float32, copy=False)
            for part in ("weight", "bias")
        )
    except (SafetensorError, KeyError) as error:
        raise _unfit(place, f"without a class head ({error})") from None
    if len(weight) != len(card.classes) or len(bias) != len(card.classes):
        raise _unfit(place, f"{len(weight)} rows of the head for {len(card.classes)} classes")
    return ClassHead(card.classes, weight, bias)


def list_heads(root: Place) -> str:
    """A few names of published encoders, for a message."""
    names = root.child(MODELS).names()
    return name_some(name for name in names if root.child(f"{MODELS}/{name}/{CARD}").kind())


def _unfit(place: Place, found: str) -> StoreError:
    return StoreError(
        f"{place.path}: {found}; restore the weights of this encoder from a copy, or fine-tune "
        "again under another name"
    )
