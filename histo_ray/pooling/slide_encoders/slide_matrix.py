"""Vectors of slides or patients by a slide encoder: what is stored, and what is quickly made."""

from collections.abc import Mapping, Sequence

import numpy as np

from histo_ray.encoders.slide_table import find_slide_entry
from histo_ray.errors import StoreError
from histo_ray.pooling.slide_encoders.encode import encode_slides, read_stored
from histo_ray.pooling.slide_encoders.registry import find_method
from histo_ray.pooling.slide_encoders.resolve import (
    NamedSlideEncoder,
    find_slide_encoder,
    parse_slide_request,
    resolve_slide_encoder,
)
from histo_ray.store.catalog import Partitions
from histo_ray.store.half_floats import Float32s
from histo_ray.store.location import Location
from histo_ray.store.slide_cards import SLIDE_ENCODERS
from histo_ray.store.slide_vectors import SlideVector, has_slide_encoder
from histo_ray.text import count_of, name_some
from histo_ray.types import Outcome, PartitionKey, Receipt

Receipts = Mapping[PartitionKey, Receipt]


def read_slide_vectors(
    root: Location, partitions: Partitions, receipts: Receipts, slide_encoder: str
) -> dict[PartitionKey, Float32s]:
    """Read the vector of each slide; what is missing is made by slide encoders that are quick.

    Args:
        root: The store.
        partitions: Of one tile encoder and tiling.
        receipts: Of those with tiles.
        slide_encoder: As the store calls it, or as it is asked for.

    Returns:
        (W,) float32 of every slide.

    Raises:
        ConfigError: There is no such slide encoder, neither to be run nor stored.
        StoreError: Vectors are missing and cannot be made here, of several weights, or a slide
            cannot be encoded; says what to run.
    """
    found = find_slide_encoder(root, slide_encoder)
    name = slide_encoder if found is None else found.name
    stored = read_stored(root, name, receipts)
    if found is not None and found.is_quick:
        weights = found.encoder.spec().weights_sha256
        own = {k: v for k, v in stored.items() if _weights_of(v) == weights}
        if len(own) < len(receipts):
            _make_missing(root, partitions, receipts, found)
            stored = read_stored(root, name, receipts)
    if found is None and not has_slide_encoder(root, slide_encoder):
        resolve_slide_encoder(root, slide_encoder)  # says what there is
    if found is None:
        _check_card(root, slide_encoder, stored)
    missing = sorted(key.slide_id for key in receipts.keys() - stored.keys())
    if missing:
        raise _missing(root, missing, slide_encoder, receipts)
    several = sorted({_weights_of(one) for one in stored.values()})
    if len(several) > 1:
        some = " and ".join(sha[:12] for sha in several)
        raise StoreError(
            f"store {root.path}: slide vectors of {name} are of different weights ({some}); delete "
            f"slides/encoder={name} and make them again with encode-slides"
        )
    return {key: one.vector for key, one in stored.items()}


def average_slides(
    vectors: Mapping[PartitionKey, Float32s], groups: Mapping[str, Sequence[PartitionKey]]
) -> Float32s:
    """Mean over the slides of each group, (groups, W): each slide counts alike."""
    rows = [
        np.mean([vectors[key].astype(np.float64) for key in keys], axis=0)
        for keys in groups.values()
    ]
    return np.asarray(rows, np.float32)


def _check_card(
    root: Location, slide_encoder: str, stored: Mapping[PartitionKey, SlideVector]
) -> None:
    """Refuse vectors of a published slide encoder whose card is gone.

    Raises:
        StoreError: It is, so that nobody can tell whom it was fitted on.
    """
    for one in stored.values():
        facts = one.receipt.slide_encoder
        source = parse_slide_request(facts.request)[0]
        if not facts.plugin and find_slide_entry(source) is None and find_method(source) is None:
            raise StoreError(
                f"store {root.path}: has slide vectors of {slide_encoder}, but its card "
                f"{SLIDE_ENCODERS}/{source} is gone, so nobody can tell whom it was fitted on; "
                "restore it from a copy, or fit another one"
            )


def _weights_of(one: SlideVector) -> str:
    return one.receipt.slide_encoder.weights_sha256


def _make_missing(
    root: Location, partitions: Partitions, receipts: Receipts, encoder: NamedSlideEncoder
) -> None:
    """Encode slides that have no vector, in this process.

    Raises:
        StoreError: One cannot be encoded.
    """
    fates = list(encode_slides(root, partitions, receipts, encoder))
    failed = {one.slide_id: one.reason for one in fates if one.outcome is Outcome.FAILED}
    if failed:
        first = min(failed)
        raise StoreError(
            f"pooling slide:{encoder.name}: {count_of(len(failed), 'slide')} cannot be encoded "
            f"({name_some(sorted(failed))}): {failed[first]}"
        )


def _missing(
    root: Location, missing: Sequence[str], slide_encoder: str, receipts: Receipts
) -> StoreError:
    key = min(receipts)
    return StoreError(
        f"pooling slide:{slide_encoder}: {count_of(len(missing), 'slide')} of {key.encoder} in "
        f"tiling {key.tiling} {'has' if len(missing) == 1 else 'have'} no vector "
        f"({name_some(missing)}); make them first: histo-ray encode-slides --store {root.uri} "
        f"--encoder {key.encoder} --tiling {key.tiling} --slide-encoder {slide_encoder}"
    )
