"""The command that extracts the tiles of a predictor into a store that lacks them."""

import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from histo_ray.config import EngineConfig, TilingConfig
from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.base import check_contract
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.request import parse_request, slugify
from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.card import ClassEncoderCard, PredictorCard
from histo_ray.store.layout import is_given, is_imported
from histo_ray.store.location import location_of
from histo_ray.store.models import MODELS, ModelCard, list_names, read_card
from histo_ray.store.store import Store
from histo_ray.types import Receipt


def name_extraction(
    store: Store, card: PredictorCard, held: Collection[Receipt] = (), home: str = ""
) -> str:
    """Name the command that extracts what a predictor needs, with what has to be copied before it.

    The encoder is asked for as this store knows its weights: by the request that slides of the same
    weights were extracted with, by the name that they are published under here, or as where the
    predictor was fitted. A fine-tuned encoder that this store does not know is copied first.

    Args:
        store: Where slides are missing.
        card: Of the predictor.
        held: A receipt of each encoder and tiling of slides that the store has.
        home: Path or URI of the store that the predictor lies in; empty: unknown.

    Returns:
        Half a sentence that ends with the command.
    """
    expected = card.encoder
    if is_imported(card.tiling.fingerprint):
        return _name_import(store, card)
    facts = [receipt.encoder for receipt in held]
    own = [
        one
        for one in facts
        if one.weights_sha256 == expected.weights_sha256 and one.rotations == expected.rotations
    ]
    own.sort(key=lambda one: one.name != expected.name)
    requests = [one.request for one in own if not one.imported_from]
    taken = {one.name for one in facts} - {one.name for one in own}
    # the name of a published encoder asks for each tile as it is
    published = [] if expected.rotations else _list_same(store, expected.weights_sha256)
    for request in (*requests, *published, expected.request):
        spec = _resolve(store, request, expected.weights_sha256)
        if spec is not None:
            free = _keep_apart(request, expected.weights_sha256, taken)
            return f"extract these tiles: {_name_command(store, card, free, spec)}"
    name, kind = parse_request(expected.request).source, parse_request(expected.request).kind
    if kind == "plugin":
        command = _name_command(store, card, expected.request, None)
        return f"extract these tiles where the plugin {name} can be imported: {command}"
    found = _read(store.root.uri, name)
    if found is not None:
        return (
            f"another encoder is called {name} in this store (weights {found.weights_sha256[:12]})"
            ", so the predictor's cannot be copied beside it; extract the slides into a store "
            f"without it, where {MODELS}/{name} of the store that the predictor was fitted in was "
            "copied to"
        )
    origin = _read(home, name)
    whole = origin is not None and origin.weights_sha256 == expected.weights_sha256
    free = _keep_apart(expected.request, expected.weights_sha256, taken)
    return _copy_first(store, card, free, home if whole else "", origin)


def _name_import(store: Store, card: PredictorCard) -> str:
    """Half a sentence: import features of the same weights, which only another tool can make."""
    settings = card.tiling.settings
    command = (
        f"histo-ray store import DIR --store {shlex.quote(store.root.uri)} "
        f"--encoder {shlex.quote(card.encoder.name)} --weights-sha256 {card.encoder.weights_sha256}"
    )
    return (
        f"its features were imported (from {settings.get('imported_from', 'another tool')}), so "
        f"import such features of these slides: {command}"
    )


def name_class_extraction(
    store: Store, card: PredictorCard, needed: ClassEncoderCard, home: str = ""
) -> str:
    """Name what brings the encoder whose head weighs tiles; arguments as `name_extraction`."""
    origin = _read(home, needed.name)
    whole = origin is not None and origin.file_sha256 == needed.file_sha256
    return _copy_first(store, card, needed.name, home if whole else "", origin)


def _copy_first(
    store: Store, card: PredictorCard, request: str, home: str, origin: ModelCard | None
) -> str:
    """Half a sentence: copy a fine-tuned encoder, then extract with it."""
    name = parse_request(request).source
    command = _name_command(store, card, request, None if origin is None else origin.encoder)
    if home and "://" not in home and store.root.local:
        target = shlex.quote(f"{store.root.uri}/{MODELS}")
        source = shlex.quote(str(Path(home) / MODELS / name))
        return (
            f"copy {MODELS}/{name}, the fine-tuned encoder, into this store, and extract these "
            f"tiles with it: mkdir -p {target} && cp -r {source} {target}/ && {command}"
        )
    return (
        f"copy {MODELS}/{name} of the store that it was fine-tuned in into this store first, as it "
        "is no encoder that is known here (one of a table of your own needs --encoder-table, one "
        f"of a plugin its package), then extract these tiles with it: {command}"
    )


def _keep_apart(request: str, weights_sha256: str, taken: Collection[str]) -> str:
    """Add another name to a request whose own is that of other weights in a store."""
    name = slugify(request)
    if name not in taken:
        return request
    return f"{request}{'&' if '?' in request else '?'}name={name}-{weights_sha256[:6]}"


def _list_same(store: Store, weights_sha256: str) -> Iterator[str]:
    """Names of the encoders that are published in a store and have these weights."""
    for name in list_names(store.root):
        found = _read(store.root.uri, name)
        if found is not None and found.weights_sha256 == weights_sha256:
            yield name


def _resolve(store: Store, request: str, weights_sha256: str) -> EncoderSpec | None:
    """What a request means in this store; None: nothing, or an encoder of other weights."""
    try:
        spec = resolve(request, (), store.root.uri)
    except ConfigError:
        return None
    if spec.published is not None and spec.weights_sha256 != weights_sha256:
        return None
    return spec


def _read(store: str, name: str) -> ModelCard | None:
    """The card of a fine-tuned encoder; None where there is none, or none that can be read."""
    if not store:
        return None
    try:
        return read_card(location_of(store), name)
    except (ConfigError, StoreError):
        return None


def _name_command(store: Store, card: PredictorCard, request: str, spec: EncoderSpec | None) -> str:
    """The command that extracts the tiles of a predictor with some encoder."""
    settings = card.tiling.settings
    flags = []
    for name, field in TilingConfig.model_fields.items():
        value = settings.get(name)
        always = name in ("mpp", "tile_px")
        if value is None or (value == field.default and not always):
            continue
        flag = f"--{name.replace('_', '-')}"
        values = value if isinstance(value, list | tuple) else [value]
        flags += [f"{flag} {shlex.quote(str(one))}" for one in values]
    if card.encoder.dtype not in ("", EngineConfig.model_fields["dtype"].default):
        flags.append(f"--dtype {card.encoder.dtype}")
    if spec is not None and _breaks_contract(card, spec):
        flags.append("--allow-contract-break")
    place = shlex.quote(store.root.uri)
    text = f"histo-ray extract --manifest SLIDES.csv --store {place}"
    return " ".join([text, f"--encoder {shlex.quote(request)}", *flags])


def _breaks_contract(card: PredictorCard, spec: EncoderSpec) -> bool:
    """Whether the encoder was made for other tiles, as where the predictor was fitted."""
    known = {name: value for name, value in card.tiling.settings.items() if value is not None}
    if is_given(card.tiling.fingerprint):
        known = {name: known[name] for name in ("mpp", "tile_px") if name in known}
    tiling = TilingConfig.model_validate(known)
    return bool(check_contract(spec, tiling.mpp, tiling.tile_px, True, tiling.stain))
