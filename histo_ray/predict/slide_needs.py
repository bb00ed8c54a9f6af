"""Slide encoders of a predictor: what its card says of them, and having them in another store."""

from collections.abc import Iterable, Iterator, Sequence

from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.methods.slide_encoder import SlideEncoderPooling
from histo_ray.pooling.registry import find_pooling
from histo_ray.pooling.slide_encoders.encode import read_stored
from histo_ray.pooling.slide_encoders.resolve import find_slide_encoder
from histo_ray.pooling.slide_encoders.slide_matrix import Receipts
from histo_ray.predict.card import PredictorCard, SlideEncoderNeed
from histo_ray.store.location import Location, location_of
from histo_ray.store.slide_cards import publish_slide_encoder, read_slide_arrays, read_slide_card

FOLDER = "slide_encoders"


def list_needs(
    root: Location, receipts: Receipts, poolings: Iterable[str]
) -> Iterator[SlideEncoderNeed]:
    """List the slide encoders of some poolings, by the receipts of vectors in a store.

    Args:
        root: The store that a predictor is fitted in.
        receipts: Of partitions that were pooled.
        poolings: As they are asked for.
    """
    key = min(receipts)
    for pooling in poolings:
        method = find_pooling(pooling)
        if not isinstance(method, SlideEncoderPooling):
            continue
        found = find_slide_encoder(root, method.slide_encoder)
        name = method.slide_encoder if found is None else found.name
        facts = read_stored(root, name, {key: receipts[key]})[key].receipt.slide_encoder
        yield SlideEncoderNeed(
            name=method.slide_encoder,
            request=facts.request,
            method=facts.method,
            weights_sha256=facts.weights_sha256,
            dim=facts.dim,
        )


def provide_slide_encoders(
    root: Location, card: PredictorCard, home: str, receipts: Receipts
) -> None:
    """See that a store has, or can make, the vectors that a predictor reads; copy what was fitted.

    Args:
        root: The store that the predictor is applied to.
        card: Of the predictor.
        home: Path or URI of the store that the predictor lies in; empty: unknown.
        receipts: Of the slides that are predicted.

    Raises:
        ConfigError: Another slide encoder has the name here, or it is in neither store; says what
            to do.
    """
    for need in card.slide_encoders:
        there = find_slide_encoder(root, need.name)
        if there is None and _copy(root, need, home):
            there = find_slide_encoder(root, need.name)
        if there is not None and there.is_quick:
            weights = str(there.encoder.spec().weights_sha256)
            if weights != need.weights_sha256:
                raise _other(card, need, root, weights)
            continue
        name = need.name if there is None else there.name
        _check_stored(root, card, need, name, receipts)


def list_poolings(card: PredictorCard) -> Sequence[str]:
    """Poolings of a predictor by slide encoders."""
    return [f"slide:{need.name}" for need in card.slide_encoders]


def _copy(root: Location, need: SlideEncoderNeed, home: str) -> bool:
    """Copy a published slide encoder from the predictor's store; False if it is not there."""
    if not home or home == root.uri:
        return False
    source = location_of(home)
    card = read_slide_card(source, need.name)
    if card is None or card.weights_sha256 != need.weights_sha256:
        return False
    publish_slide_encoder(root, card, read_slide_arrays(source, card))
    return True


def _check_stored(
    root: Location, card: PredictorCard, need: SlideEncoderNeed, name: str, receipts: Receipts
) -> None:
    """See that vectors that cannot be made here are stored, and of the right weights."""
    stored = read_stored(root, name, receipts)
    others = {
        one.receipt.slide_encoder.weights_sha256
        for one in stored.values()
        if one.receipt.slide_encoder.weights_sha256 != need.weights_sha256
    }
    if others:
        raise _other(card, need, root, min(others))
    if len(stored) < len(receipts):
        key = min(receipts)
        command = (
            f"histo-ray encode-slides --store {root.uri} --encoder {key.encoder} --tiling "
            f"{key.tiling} --slide-encoder {need.request}"
        )
        raise StoreError(
            f"predictor {card.name}: {len(receipts) - len(stored)} of {len(receipts)} slides in "
            f"store {root.path} have no vector of slide encoder {need.name}; make them first: "
            f"{command} (of one that was fitted, copy {FOLDER}/{need.name} of the predictor's "
            "store here, and predict makes them)"
        )


def _other(
    card: PredictorCard, need: SlideEncoderNeed, root: Location, weights: str
) -> ConfigError:
    return ConfigError(
        f"predictor {card.name}: reads slide vectors of {need.name} by the weights "
        f"{need.weights_sha256[:12]}, and store {root.path} has {weights[:12]} under that name; "
        f"apply it in a store without it, or rename {FOLDER}/{need.name} there"
    )
