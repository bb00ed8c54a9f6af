"""The class head of a published encoder, read without torch."""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from histo_ray.errors import StoreError
from histo_ray.pooling.class_weights import ClassHead
from histo_ray.store.location import Location
from histo_ray.store.models import HEAD_PREFIX, MODELS, WEIGHTS_FILE, ModelCard, read_weights


def read_class_head(root: Location, card: ModelCard) -> ClassHead:
    """Read the head that was trained with a published encoder.

    Args:
        root: The store.
        card: The encoder's card.

    Raises:
        StoreError: Its file is not there, damaged, or not the one of the card.
    """
    path = root.child(f"{MODELS}/{card.name}/{WEIGHTS_FILE}").path
    try:
        weights = load(read_weights(root, card))
        weight, bias = (
            weights[HEAD_PREFIX + part].astype(np.float32, copy=False)
            for part in ("weight", "bias")
        )
    except (SafetensorError, KeyError) as error:
        raise _unfit(path, f"without a class head ({error})") from None
    if len(weight) != len(card.classes) or len(bias) != len(card.classes):
        raise _unfit(path, f"{len(weight)} rows of the head for {len(card.classes)} classes")
    return ClassHead(card.classes, weight, bias)


def _unfit(path: str, found: str) -> StoreError:
    return StoreError(
        f"{path}: {found}; restore the weights of this encoder from a copy, or fine-tune again "
        "under another name"
    )
