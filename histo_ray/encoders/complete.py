"""Fills in what a request leaves open, from what timm or a hub repository states. No torch."""

from typing import Any

from histo_ray.encoders.base import EncoderSpec, Rgb
from histo_ray.errors import ConfigError
from histo_ray.types import JsonObject

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MODES = ("bilinear", "bicubic")


def complete_spec(
    spec: EncoderSpec, facts: JsonObject, arguments: JsonObject, *, from_hub: bool
) -> EncoderSpec:
    """Set what `spec` leaves open.

    Args:
        spec: With a timm architecture; a tag that timm chose joins it.
        facts: `pretrained_cfg` of the network that was built.
        arguments: Construction arguments it was built with.
        from_hub: Whether a repository's configuration was part of that; the spec then states the
            arguments itself, so that the network can be built without the repository.

    Raises:
        ConfigError: The network takes no square RGB tile, or the facts cannot be used.
    """
    size = facts.get("input_size") or (3, 224, 224)
    channels = arguments.get("in_chans") or size[0]
    if channels != 3:
        raise ConfigError(
            f"encoder {spec.name!r}: its network takes images of {channels} channels, and tiles "
            "have 3 (RGB); choose an encoder for RGB"
        )
    update: JsonObject = {}
    if spec.input_px is None:
        update["input_px"] = _read_edge(spec.name, arguments.get("img_size") or size[-2:])
    if spec.mean is None:
        update["mean"] = _read_rgb(spec.name, "mean", facts.get("mean") or _IMAGENET_MEAN)
    if spec.std is None:
        update["std"] = _read_rgb(spec.name, "std", facts.get("std") or _IMAGENET_STD)
    if spec.interpolation is None:
        update["interpolation"] = _read_mode(spec.name, facts.get("interpolation"))
    if from_hub:
        update["timm_kwargs"] = _own_arguments(facts, arguments)
    if spec.source == "timm" and "." not in spec.architecture and facts.get("tag"):
        update["architecture"] = f"{spec.architecture}.{facts['tag']}"
    return spec.model_copy(update=update)


def _own_arguments(facts: JsonObject, arguments: JsonObject) -> JsonObject:
    """Arguments that build the same network from its timm name alone."""
    own = {key: value for key, value in arguments.items() if key != "num_classes"}
    if facts.get("fixed_input_size"):
        own.setdefault("img_size", list(facts["input_size"][-2:]))
    return own


def _read_edge(encoder: str, size: Any) -> int:
    """Edge of a square input in px, from a number or (height, width)."""
    try:
        height, width = (size, size) if isinstance(size, int) else (int(px) for px in size)
    except (TypeError, ValueError):
        raise ConfigError(
            f"encoder {encoder!r}: its input size is given as {size!r}, which is neither a number "
            "nor (height, width); state it with px="
        ) from None
    if height != width:
        raise ConfigError(
            f"encoder {encoder!r}: its network takes images of {width} x {height} px (width x "
            "height), and tiles are square; state a square size with img_size= for a network of "
            "fixed size, with px= for any other"
        )
    return height


def _read_rgb(encoder: str, what: str, values: Any) -> Rgb:
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError):
        raise ConfigError(
            f"encoder {encoder!r}: its {what} is given as {values!r}, not as three numbers; state "
            f"it with {what}=R,G,B"
        ) from None
    if what == "std" and min(red, green, blue) <= 0:
        raise ConfigError(
            f"encoder {encoder!r}: its std is given as {values!r}, and none of the three may be 0 "
            "or less; state it with std=R,G,B"
        )
    return red, green, blue


def _read_mode(encoder: str, mode: Any) -> Any:
    """The filter that tiles are resized with; timm's default where none is stated."""
    if not mode:
        return "bicubic"
    if mode not in _MODES:
        raise ConfigError(
            f"encoder {encoder!r}: tiles would have to be resized with the filter {mode!r}, and "
            "there are only bilinear and bicubic; choose one with interpolation="
        )
    return mode
