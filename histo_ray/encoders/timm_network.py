"""From a spec to a network that holds its weights, and to a spec with nothing left open."""

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from histo_ray.encoders.adapters import merge_adapters
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.complete import complete_spec
from histo_ray.encoders.download import fetch_url
from histo_ray.encoders.hub import WEIGHTS_FILES, fetch_beside, fetch_file, fetch_weights, find_file
from histo_ray.encoders.hub_config import (
    CONFIG_FILE,
    HubConfig,
    compare_config,
    read_hub_config,
    read_stated,
)
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.published import (
    HEAD_PREFIX,
    Adapter,
    ModelCard,
    read_card,
    read_weights_file,
)
from histo_ray.encoders.weights import (
    Filter,
    Weights,
    digest_weights,
    fit_weights,
    keep_weights,
    read_weights,
    select_weights,
)
from histo_ray.errors import ConfigError
from histo_ray.types import JsonObject

_timm: Any = timm
_HUB = "hf-hub:"
_LAYERS = {
    "SwiGLUPacked": _timm.layers.SwiGLUPacked,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
}
"""Layer types that a request or a table can only name."""
_LOADING = frozenset(
    {
        "cache_dir", "checkpoint_path", "exportable", "no_jit", "pretrained", "pretrained_cfg",
        "pretrained_cfg_overlay", "pretrained_filter_fn", "pretrained_strict", "scriptable",
    }
)  # fmt: skip
"""timm's arguments that fetch or open something; tables, cards and hubs may not state them."""
_FEATURES = frozenset({"feature_cfg", "feature_cls", "features_only", "out_indices"})
"""timm's arguments that make a network return maps of features in place of one vector a tile."""
_REFUSALS = (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
"""What timm raises for arguments that it cannot build a network from."""


_BUILDING = threading.Lock()


class _Loading(NamedTuple):
    """How timm would load weights into a network that it has just built."""

    checkpoint_filter: Filter
    may_have_more: bool
    """Whether timm ignores weights without a place in the network."""


def build_network(spec: EncoderSpec) -> tuple[nn.Module, EncoderSpec]:
    """Build the network of `spec` as timm does, and load its weights.

    Args:
        spec: As `resolve` gives it.

    Returns:
        The network in eval mode on CPU, without a classifier, and the spec with architecture,
        input_px, mean, std and interpolation filled in.

    Raises:
        ConfigError: The weights cannot be had, do not fit, or would fit only with a resampled
            position embedding that nobody asked for. Others are never taken instead.
    """
    if spec.plugin is not None:
        raise ConfigError(
            f"encoder {spec.name!r}: it is a Python plugin ({spec.plugin}), whose network only the "
            "plugin knows; choose an encoder that timm can build"
        )
    if spec.library != "timm":
        raise ConfigError(
            f"encoder {spec.name!r}: its network is one of {spec.library}, and one of timm is "
            "needed here; choose an encoder that timm can build"
        )
    config: HubConfig | None = None
    if spec.architecture.startswith(_HUB):
        repository = spec.hub or spec.architecture.removeprefix(_HUB)
        config = read_hub_config(repository, spec.name)
        spec = spec.model_copy(update={"architecture": config.architecture})
    weights = _read_weights(spec, config)
    arguments = (config.model_args if config else {}) | spec.timm_kwargs
    with _note_loading() as noted:
        network = create_network(spec, arguments, config, with_weights=weights is not None)
    facts: JsonObject = getattr(network, "pretrained_cfg", None) or {}
    complete = complete_spec(spec, facts, arguments, from_hub=config is not None)
    if weights is not None:
        resampled = _fit(complete, network, weights, noted[0] if noted else None)
        if resampled:
            _check_resampling(spec, network, resampled)
            complete = complete.model_copy(update={"pos_embed_resampled": resampled})
    _check_digest(complete, network)
    if spec.source == "hub" and spec.hub:
        differing = compare_config(complete, read_stated(spec.hub), spec.hub)
        complete = complete.model_copy(update={"config_differs": differing})
    return network.eval().requires_grad_(False), complete


def create_network(
    spec: EncoderSpec,
    kwargs: JsonObject,
    config: HubConfig | None = None,
    *,
    with_weights: bool = False,
) -> nn.Module:
    """Build the bare network; its random weights depend on the seed alone.

    Args:
        spec: With a timm architecture.
        kwargs: timm's construction arguments; layer types may be named.
        config: Configuration of a repository, which timm then builds from.
        with_weights: Build as timm does before it loads weights; only inside `_note_loading`.

    Raises:
        ConfigError: timm does not take the arguments, or they make it no encoder.
    """
    arguments = {k: _LAYERS.get(v, v) if isinstance(v, str) else v for k, v in kwargs.items()}
    arguments.pop("num_classes", None)
    _check_arguments(spec.name, arguments)
    name = spec.architecture if config is None else f"local-dir:{config.folder}"
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(spec.seed or 0)
            network: nn.Module = _timm.create_model(
                name, pretrained=with_weights, num_classes=0, **arguments
            )
    except _REFUSALS as error:
        source = f" by the {CONFIG_FILE} of {spec.hub}" if config is not None else ""
        raise ConfigError(
            f"encoder {spec.name!r}: timm cannot build {spec.architecture}{source} with {kwargs} "
            f"({_one_line(error)}); correct the arguments in the request or the encoder table"
        ) from None
    return network


def _check_arguments(encoder: str, arguments: JsonObject) -> None:
    loading = sorted(_LOADING & arguments.keys())
    if loading:
        raise ConfigError(
            f"encoder {encoder!r}: the argument {loading[0]!r} makes timm load something by "
            "itself, which is not allowed here; name weights with file= or hub="
        )
    features = sorted(_FEATURES & arguments.keys())
    if features:
        raise ConfigError(
            f"encoder {encoder!r}: with the argument {features[0]!r} the network returns maps of "
            "features, not one vector a tile; leave it out, or choose an architecture with "
            "?arch=<timm name> and a pool"
        )


@contextmanager
def _note_loading() -> Iterator[list[_Loading]]:
    """Have timm build a network for weights, and note how it would load them in place of doing it.

    Which filter a checkpoint passes depends on the architecture and its arguments, and only timm's
    builder knows it. Loading itself is ours: timm leaves what is missing at random.
    """
    builder: Any = importlib.import_module("timm.models._builder")
    noted: list[_Loading] = []

    def note(model: Any, *_: Any, filter_fn: Filter | None = None, **how: Any) -> None:
        noted.append(_Loading(filter_fn or keep_weights, not how.get("strict", True)))

    with _BUILDING:
        load = builder.load_pretrained
        builder.load_pretrained = note
        try:
            yield noted
        finally:
            builder.load_pretrained = load


def _fit(spec: EncoderSpec, network: nn.Module, weights: Weights, loading: _Loading | None) -> str:
    """Load the weights; how their position embedding was resampled, or nothing."""
    checkpoint_filter, may_have_more = loading or (None, False)
    try:
        return fit_weights(
            network, weights, spec.architecture, checkpoint_filter, may_have_more=may_have_more
        )
    except ConfigError as error:
        raise ConfigError(f"encoder {spec.name!r}: {error}") from None


def _check_resampling(spec: EncoderSpec, network: nn.Module, resampled: str) -> None:
    """Refuse a resampled position embedding unless the request or a table states `img_size`."""
    if "img_size" in spec.timm_kwargs:
        return
    embed = getattr(network, "patch_embed", None)
    patch, size = getattr(embed, "patch_size", None), getattr(embed, "img_size", None)
    rows = resampled.partition("x")[0]
    remedy = "state the size of the input with img_size="
    if patch and size and rows.isdigit():
        remedy = (
            f"add img_size={int(rows) * patch[0]}, for which the weights were made, or "
            f"img_size={size[0]} to have it resampled, which every receipt then says"
        )
    raise ConfigError(
        f"encoder {spec.name!r}: the position embedding of the weights would have to be resampled "
        f"({resampled}) to fit the network that {spec.architecture} describes, which changes every "
        f"vector; {remedy}"
    )


def _timm_defaults(spec: EncoderSpec) -> JsonObject:
    """What timm knows of an architecture and its weights; empty for none."""
    try:
        config = _timm.get_pretrained_cfg(spec.architecture, allow_unregistered=False)
    except RuntimeError as error:
        raise ConfigError(
            f"encoder {spec.name!r}: {_one_line(error)}; "
            f"timm.list_pretrained('{spec.architecture.partition('.')[0]}*') lists what there is"
        ) from None
    known: JsonObject = config.to_dict() if config else {}
    return known


def _check_digest(spec: EncoderSpec, network: nn.Module) -> None:
    if spec.weights_sha256 is None:
        return
    found = digest_weights(network.state_dict())
    if found != spec.weights_sha256:
        raise ConfigError(
            f"encoder {spec.name!r}: its weights have the SHA-256 {found[:12]}..., not "
            f"{spec.weights_sha256[:12]}... as stated where they are named; restore the file"
        )


def _read_weights(spec: EncoderSpec, config: HubConfig | None) -> Weights | None:
    """The weights from wherever they are; None for random ones."""
    defaults = _timm_defaults(spec) if config is None else {}
    if spec.source == "random":
        return None
    if spec.published is not None:
        return _read_published(spec.published, spec.published_name or spec.name)
    return select_weights(read_weights(_find_weights(spec, defaults), spec.name), spec)


def _find_weights(spec: EncoderSpec, defaults: JsonObject) -> Path:
    """Where the weights lie on this machine."""
    if spec.file is not None:
        return Path(spec.file).expanduser()
    if spec.source == "hub" and spec.hub:
        if spec.weights_file is not None:
            return fetch_file(spec.hub, spec.weights_file, spec.name)
        is_new = not any(find_file(spec.hub, name) for name in WEIGHTS_FILES)
        path = fetch_weights(spec.hub, spec.name)
        if is_new:
            fetch_beside(spec.hub, CONFIG_FILE)
        return path
    repository = defaults.get("hf_hub_id")
    if repository:
        return fetch_weights(repository, spec.name)
    url = defaults.get("url")
    if url:
        return fetch_url(url, spec.name)
    raise ConfigError(
        f"encoder {spec.name!r}: timm has no weights for {spec.architecture}; choose a tag "
        f"(timm.list_pretrained('{spec.architecture.partition('.')[0]}*') lists them), add "
        f"?file=PATH.safetensors (or .pth), or ask for random:{spec.architecture}"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _read_published(store: str, name: str) -> Weights:
    """Weights of a published encoder's network, without those of its head.

    Raises:
        ConfigError: Not there, damaged, or not what the card says.
    """
    try:
        weights = load(read_weights_file(store, name))
    except SafetensorError as error:
        raise ConfigError(
            f"encoder {name!r}: its published weights are damaged ({str(error)[:120]}); "
            "restore them, or fine-tune again under another name"
        ) from None
    own = {key: value for key, value in weights.items() if not key.startswith(HEAD_PREFIX)}
    card = read_card(store, name)
    if card is None or card.adapter is None:
        return own
    return _merge(card, card.adapter, store, own)


def _merge(card: ModelCard, adapter: Adapter, store: str, own: Weights) -> Weights:
    """Load the base of adapters, and merge them into it.

    Raises:
        ConfigError: The base cannot be had, or is another one than they were trained beside.
    """
    base = adapter.base
    if base.published is not None:  # it lies in the same store, wherever that is now
        base = base.model_copy(update={"published": store})
    try:
        network, _ = build_network(base)
    except ConfigError as error:
        raise ConfigError(
            f"encoder {card.name!r} is adapters beside {card.base.request}, which cannot be "
            f"loaded: {error}"
        ) from None
    found = digest_weights(network.state_dict())
    if found != card.base.weights_sha256:
        raise ConfigError(
            f"encoder {card.name!r}: its adapters were trained beside weights "
            f"{card.base.weights_sha256[:12]}... of {card.base.request}, and those here are "
            f"{found[:12]}...; restore them, or fine-tune again under another name"
        )
    try:
        return merge_adapters(network.state_dict(), own, adapter.scale)
    except ConfigError as error:
        raise ConfigError(f"encoder {card.name!r}: {error}") from None
