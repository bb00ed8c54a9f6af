"""Sizes of vectors that are known before an encoder is loaded."""

from collections.abc import Sequence

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.registry import find_dim
from histo_ray.encoders.tile_groups import EncoderGroup
from histo_ray.errors import StoreError
from histo_ray.store.store import Store


def find_known_dims(groups: Sequence[EncoderGroup], store: Store | None) -> dict[str, int]:
    """Find the lengths of vectors, as far as a table, a card or a receipt states them.

    Args:
        groups: The encoders.
        store: What has been extracted already; None if there is no store yet.

    Returns:
        Numbers a vector by the encoder's name in the store; encoders of which nothing is stated
        are left out.
    """
    found: dict[str, int] = {}
    for group in groups:
        for spec, name in zip(group.specs, group.names, strict=True):
            dim = find_dim(spec) or _dim_of_receipt(spec, name, store)
            if dim is not None:
                found[name] = dim
    return found


def _dim_of_receipt(spec: EncoderSpec, name: str, store: Store | None) -> int | None:
    """Length of the vectors that a store has of an encoder; another request's do not count."""
    keys = sorted(store.list_keys(encoder=name)) if store is not None else ()
    for key in keys[:1]:
        try:
            about = store.read_receipt(key).encoder if store is not None else None
        except StoreError:  # damaged: the plan's rows tell that
            return None
        if about is not None and about.request == spec.request:
            return about.dim
    return None
