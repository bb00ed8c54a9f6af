"""From a spec to a network that holds its weights, and to a spec with nothing left open."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.download import fetch_url
from histo_ray.encoders.hub import fetch_file, fetch_weights
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.published import read_published
from histo_ray.encoders.weights import Weights, digest_weights, fit_weights, read_weights
from histo_ray.errors import ConfigError

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
        "pretrained_cfg_overlay", "scriptable",
    }
)  # fmt: skip
"""timm's arguments that fetch or open something; tables, cards and hubs may not say them."""
_REFUSALS = (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
"""What timm raises for arguments that it cannot build a network from."""


def build_network(spec: EncoderSpec) -> tuple[nn.Module, EncoderSpec]:
    """Build the network of `spec` and load its weights.

    Args:
        spec: As `resolve` gives it.

    Returns:
        The network in eval mode on CPU, without a classifier, and the spec with architecture,
        input_px, mean, std and interpolation filled in.

    Raises:
        ConfigError: The weights cannot be had, or do not fit. Others are never taken instead.
    """
    facts: dict[str, Any] = {}
    kwargs: dict[str, Any] = {}
    if spec.architecture.startswith(_HUB):
        facts = _read_hub_config(spec)
        kwargs = dict(facts.get("model_args") or {})
        spec = spec.model_copy(update={"architecture": facts["architecture"]})
    defaults = _timm_defaults(spec)
    spec = _fill_in(spec, defaults | (facts.get("pretrained_cfg") or facts))
    weights = _read_weights(spec, defaults)
    network = create_network(spec, kwargs | spec.timm_kwargs)
    if weights is not None:
        try:
            fit_weights(network, weights, spec.architecture)
        except ConfigError as error:
            prefix = f"encoder {spec.name!r}: "
            raise ConfigError(prefix + str(error).removeprefix(prefix)) from None
    _check_digest(spec, network)
    return network.eval().requires_grad_(False), spec


def create_network(spec: EncoderSpec, kwargs: dict[str, Any]) -> nn.Module:
    """Build the bare network; its random weights depend on the seed alone.

    Args:
        spec: With a timm architecture.
        kwargs: timm's construction arguments; layer types may be named.

    Raises:
        ConfigError: timm does not take them.
    """
    arguments = {k: _LAYERS.get(v, v) if isinstance(v, str) else v for k, v in kwargs.items()}
    arguments.pop("num_classes", None)
    loading = sorted(_LOADING & arguments.keys())
    if loading:
        raise ConfigError(
            f"encoder {spec.name!r}: argument {loading[0]!r}, which makes timm load something, "
            "none such wanted; name weights with file= or hub="
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(spec.seed or 0)
            network: nn.Module = _timm.create_model(
                spec.architecture, pretrained=False, num_classes=0, **arguments
            )
    except _REFUSALS as error:
        raise ConfigError(
            f"encoder {spec.name!r}: timm cannot build {spec.architecture} with {kwargs} "
            f"({_one_line(error)}), arguments it knows wanted; mend the request"
        ) from None
    return network


def _timm_defaults(spec: EncoderSpec) -> dict[str, Any]:
    """What timm knows of an architecture and its weights; empty for none."""
    try:
        config = _timm.get_pretrained_cfg(spec.architecture, allow_unregistered=False)
    except RuntimeError as error:
        raise ConfigError(
            f"encoder {spec.name!r}: {_one_line(error)}, one of timm's networks and tags wanted; "
            f"timm.list_pretrained('{spec.architecture.partition('.')[0]}*') lists them"
        ) from None
    known: dict[str, Any] = config.to_dict() if config else {}
    return known


def _fill_in(spec: EncoderSpec, facts: dict[str, Any]) -> EncoderSpec:
    """Set what `spec` leaves open; a tag that timm chose joins the architecture."""
    size = facts.get("input_size") or (3, 224, 224)
    mode = facts.get("interpolation")
    found = {
        "input_px": int(spec.timm_kwargs.get("img_size") or size[-1]),
        "mean": tuple(facts.get("mean") or (0.485, 0.456, 0.406)),
        "std": tuple(facts.get("std") or (0.229, 0.224, 0.225)),
        "interpolation": mode if mode in ("bilinear", "bicubic") else "bicubic",
    }
    update: dict[str, Any] = {k: v for k, v in found.items() if getattr(spec, k) is None}
    if spec.source == "timm" and "." not in spec.architecture and facts.get("tag"):
        update["architecture"] = f"{spec.architecture}.{facts['tag']}"
    return spec.model_copy(update=update)


def _check_digest(spec: EncoderSpec, network: nn.Module) -> None:
    if spec.weights_sha256 is None:
        return
    found = digest_weights(network.state_dict())
    if found != spec.weights_sha256:
        raise ConfigError(
            f"encoder {spec.name!r}: weights with SHA-256 {found[:12]}, {spec.weights_sha256[:12]} "
            "wanted; restore the file"
        )


def _read_weights(spec: EncoderSpec, defaults: dict[str, Any]) -> Weights | None:
    """The weights from wherever they are; None for random ones."""
    if spec.source == "random":
        return None
    if spec.published is not None:
        return read_published(spec.published, spec.published_name or spec.name)
    return read_weights(_find_weights(spec, defaults), spec.name)


def _find_weights(spec: EncoderSpec, defaults: dict[str, Any]) -> Path:
    """Where the weights lie on this machine."""
    if spec.file is not None:
        return Path(spec.file).expanduser()
    if spec.source == "hub" and spec.hub:
        return fetch_weights(spec.hub, spec.name)
    repository = defaults.get("hf_hub_id")
    if repository:
        return fetch_weights(repository, spec.name)
    url = defaults.get("url")
    if url:
        return fetch_url(url, spec.name)
    raise ConfigError(
        f"encoder {spec.name!r}: timm has no weights for {spec.architecture}, some wanted; choose "
        f"a tag, add ?file=PATH.safetensors (or .pth), or ask for random:{spec.architecture}"
    )


def _read_hub_config(spec: EncoderSpec) -> dict[str, Any]:
    repository = spec.hub or spec.architecture.removeprefix(_HUB)
    path = fetch_file(repository, "config.json", spec.name)
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        facts = {}
    if not isinstance(facts.get("architecture"), str):
        raise ConfigError(
            f"encoder {spec.name!r}: {repository} names no timm architecture, a timm repository "
            "wanted; add ?arch=<timm name>, or choose another encoder"
        )
    return facts


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
