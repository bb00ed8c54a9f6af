"""Predictors of a store, `predictors/<name>/`: published whole, and held against their digests."""

import hashlib
import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from histo_ray.config import parse_settings
from histo_ray.deferred import deferred
from histo_ray.encoder_spec import NAME_PATTERN
from histo_ray.errors import ConfigError, StoreError, UnreachableError
from histo_ray.learn.fold_data import FeatureScale
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.label_scale import LabelScale
from histo_ray.learn.tiles.tile_range import TileRange
from histo_ray.predict.card import CARD_VERSION, PartCard, PredictorCard
from histo_ray.predict.predictor import BagPart, FittedPredictor, LinearPart, PredictorParts
from histo_ray.storage.seal import check_bytes, seal_json, strip_marks
from histo_ray.store.atomic_write import publish_files
from histo_ray.store.location import Location, location_of
from histo_ray.store.partition import first_line
from histo_ray.text import did_you_mean, name_first

PREDICTORS = "predictors"
CARD, ARRAYS = "predictor.json", "predictor.safetensors"
_REMEDY = "restore it from a copy, or fit again under another name"
_SCALE = ("low", "high", "mean", "scale")
_WEIGHTS = ("weights", "bias", "choice", "inner_score")
_read_head = deferred("histo_ray.learn.mil.head:read_head")

Arrays = dict[str, npt.NDArray[Any]]


def load_predictor(predictor: str, store: str = "") -> FittedPredictor:
    """Load a predictor and hold it against its digests.

    Args:
        predictor: Name in `store`, or path or URI of its folder (which may have been copied out of
            its store).
        store: Path or URI of the store; empty: `predictor` is a folder.

    Raises:
        ConfigError: There is no such predictor; names those that there are.
        StoreError: It is damaged, was changed, or is of a newer version.
    """
    folder = _locate(predictor, store)
    card = _read_card(folder)
    location = folder.child(ARRAYS)
    data = _read_bytes(location)
    if data is None:
        raise StoreError(f"{location.path} is missing, though its card is there; {_REMEDY}")
    if hashlib.sha256(data).hexdigest() != card.file_sha256:
        raise StoreError(
            f"{location.path} is not the file that {CARD} names by its SHA-256; {_REMEDY}"
        )
    try:
        parts = decode_parts(card, data, location.path)
        return FittedPredictor(card, parts, _find_home(folder))
    except (SafetensorError, KeyError, ValueError) as error:
        raise StoreError(
            f"{location.path} does not fit its card ({first_line(error)}); {_REMEDY}"
        ) from None


def read_predictor_card(predictor: str, store: str = "") -> PredictorCard:
    """Read the card alone; arguments and errors as `load_predictor`."""
    return _read_card(_locate(predictor, store))


def list_predictors(store: str) -> list[str]:
    """Names of the predictors of a store, sorted; cards are not read."""
    root = location_of(store)
    names = root.child(PREDICTORS).names()
    return [name for name in names if root.child(f"{PREDICTORS}/{name}/{CARD}").kind()]


def is_predictor(folder: str) -> bool:
    """Whether a path or URI is the folder of a predictor; its files are not read."""
    return bool(location_of(folder).child(CARD).kind())


def find_predictor(store: str, name: str, fingerprint: str) -> PredictorCard | None:
    """Find what a fit has published before.

    Args:
        store: Path or URI of the store.
        name: Of the predictor.
        fingerprint: Of the fit.

    Returns:
        The card of this very fit; None if the name is free.

    Raises:
        ConfigError: The name is in use by another predictor.
        StoreError: What is there is damaged.
    """
    folder = location_of(store).child(f"{PREDICTORS}/{name}")
    if not folder.child(CARD).kind():
        return None
    card = _read_card(folder)
    if card.fingerprint != fingerprint:
        raise ConfigError(
            f"name {name!r} is in use in {store}: a predictor of {card.task} by "
            f"{card.encoder.name}, fitted {card.created[:10]} on other labels, slides or settings; "
            "choose another --name"
        )
    return card


def publish_predictor(store: str, card: PredictorCard, parts: PredictorParts) -> PredictorCard:
    """Put a predictor into a store: whole or not at all, and never over another.

    Args:
        store: Path or URI of the store.
        card: Without `file_sha256`, which is filled in.
        parts: Its arrays.

    Returns:
        The card that is in the store now.

    Raises:
        ConfigError: The name is in use by another predictor.
    """
    data = encode_parts(parts)
    sealed = card.model_copy(update={"file_sha256": hashlib.sha256(data).hexdigest()})
    text = seal_json(sealed.model_dump(mode="json"))
    files = {ARRAYS: data, CARD: text}
    if publish_files(location_of(store), f"{PREDICTORS}/{card.name}", files):
        return sealed
    return find_predictor(store, card.name, card.fingerprint) or sealed


def encode_parts(parts: PredictorParts) -> bytes:
    """Bytes of predictor.safetensors."""
    arrays: Arrays = {
        "labels.raw": parts.label_scale.raw,
        "labels.scaled": parts.label_scale.scaled,
    }
    if parts.tile_range is not None:
        arrays["tiles.mean"] = parts.tile_range.mean
        arrays["tiles.scale"] = parts.tile_range.scale
        arrays["tiles.limit"] = np.array([parts.tile_range.limit])
    for number, part in enumerate(parts.linear):
        for name in _SCALE:
            arrays[f"part.{number}.{name}"] = getattr(part.fit.scale, name)
        for name in _WEIGHTS:
            arrays[f"part.{number}.{name}"] = getattr(part.fit, name)
    for number, bag_part in enumerate(parts.bags, len(parts.linear)):
        for at, member in enumerate(bag_part.members):
            arrays[f"part.{number}.member.{at}"] = np.frombuffer(member.to_bytes(), np.uint8)
    data: bytes = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    return data


def decode_parts(card: PredictorCard, data: bytes, origin: str) -> PredictorParts:
    """Read the arrays of predictor.safetensors.

    Args:
        card: Says which there are.
        data: Bytes of the file.
        origin: Its path, for messages.

    Raises:
        KeyError: An array is missing.
        ValueError: One does not fit the card.
        SafetensorError: It is no such file.
    """
    arrays = load(data)
    linear: list[LinearPart] = []
    bags: list[BagPart] = []
    for number, part in enumerate(card.parts):
        if part.members:
            heads = (arrays[f"part.{number}.member.{at}"] for at in range(part.members))
            members = tuple(_read_head(head.tobytes(), origin) for head in heads)
            n_folds = card.evaluation.n_folds
            bags.append(BagPart(part.head, part.variant, part.targets, members, n_folds))
        else:
            linear.append(_decode_linear(part, arrays, f"part.{number}."))
    scale = LabelScale(card.labels.transform, arrays["labels.raw"], arrays["labels.scaled"])
    tiles = None
    if "tiles.mean" in arrays:
        limit = float(arrays["tiles.limit"][0])
        tiles = TileRange(arrays["tiles.mean"], arrays["tiles.scale"], limit)
    return PredictorParts(tuple(linear), tuple(bags), scale, tiles)


def _decode_linear(part: PartCard, arrays: Arrays, prefix: str) -> LinearPart:
    values = [np.asarray(arrays[prefix + name], np.float64) for name in (*_SCALE, *_WEIGHTS)]
    scale = FeatureScale(*values[: len(_SCALE)])
    weights, bias, choice, inner_score = values[len(_SCALE) :]
    fit = LinearFit(part.targets, scale, weights, bias, part.link, choice, inner_score)
    return LinearPart(part.pooling, part.head, fit)


def _locate(predictor: str, store: str) -> Location:
    """Folder of a predictor.

    Raises:
        ConfigError: There is none.
    """
    if not store:
        folder = location_of(re.sub(rf"/({CARD}|{ARRAYS})?$", "", predictor))
        if not folder.child(CARD).kind():
            raise ConfigError(
                f"predictor {predictor}: there is no {CARD}; name the folder of a predictor, as in "
                f"STORE/{PREDICTORS}/NAME"
            )
        return folder
    folder = location_of(store).child(f"{PREDICTORS}/{predictor}")
    if not re.fullmatch(NAME_PATTERN, predictor) or not folder.child(CARD).kind():
        names = list_predictors(store)
        raise ConfigError(
            f"predictor {predictor!r}: not in store {store}; predictors there: "
            f"{name_first(names) or 'none'}{did_you_mean(predictor, names)}"
        )
    return folder


def _find_home(folder: Location) -> str:
    """Path or URI of the store that a predictor's folder lies in; empty: in none."""
    above, _, name = folder.uri.rstrip("/").rpartition("/")
    store, _, room = above.rpartition("/")
    return store if name and room == PREDICTORS else ""


def _read_card(folder: Location) -> PredictorCard:
    location = folder.child(CARD)
    data = _read_bytes(location)
    if data is None:
        raise StoreError(f"{location.path} was removed just now; {_REMEDY}")
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
    if check_bytes(data) != "sealed":
        raise StoreError(
            f"{location.path} is damaged: its bytes are not those that were written; {_REMEDY}"
        )
    try:
        return parse_settings(PredictorCard, strip_marks(values), location.path)
    except ConfigError as error:
        raise StoreError(f"{error}; {_REMEDY}") from None


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
