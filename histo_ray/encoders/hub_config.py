"""The `config.json` of a hub repository: what timm needs to build the network that it holds."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.hub import fetch_file, find_file
from histo_ray.encoders.timm_names import has_timm_name
from histo_ray.errors import ConfigError
from histo_ray.types import JsonObject

CONFIG_FILE = "config.json"
_COMPARED = ("input_px", "mean", "std", "interpolation")
"""Facts of a spec that a repository's configuration states too."""
_TOLERANCE = 1e-4
"""Two means or standard deviations closer than this are the same."""


class HubConfig(NamedTuple):
    """A repository's configuration, checked but otherwise as written."""

    folder: Path
    """Holds `config.json`; `timm.create_model("local-dir:FOLDER")` reads it."""
    architecture: str
    """timm name of the network."""
    model_args: JsonObject
    """Construction arguments beyond the architecture's own."""


def read_hub_config(repository: str, encoder: str) -> HubConfig:
    """Fetch and check the configuration of a timm repository.

    Args:
        repository: `org/name` or `org/name@revision`.
        encoder: Name of the encoder, for messages.

    Raises:
        ConfigError: The file cannot be had, or names no network of timm.
    """
    path = fetch_file(repository, CONFIG_FILE, encoder)
    values = _read_object(path)
    name = values.get("architecture")
    if not isinstance(name, str):
        raise ConfigError(
            f"encoder {encoder!r}: the {CONFIG_FILE} of {repository} names no timm architecture, "
            "so it is not clear which network its weights belong to; if timm has that network, "
            "name it with ?arch=<timm name>"
        )
    if not has_timm_name(name):
        raise ConfigError(
            f"encoder {encoder!r}: the {CONFIG_FILE} of {repository} asks for the architecture "
            f"{name!r}, which the installed timm does not have; upgrade timm, or name one that it "
            "has with ?arch=<timm name>"
        )
    arguments = values.get("model_args") if "pretrained_cfg" in values else None
    if arguments is not None and not isinstance(arguments, dict):
        raise ConfigError(
            f"encoder {encoder!r}: model_args in the {CONFIG_FILE} of {repository} is "
            f"{type(arguments).__name__}, not a table of construction arguments; "
            "name the network yourself with ?arch=<timm name>"
        )
    return HubConfig(path.parent, name, arguments or {})


def compare_config(spec: EncoderSpec, facts: JsonObject, repository: str) -> str:
    """Say where a repository's configuration and the preparation in use disagree.

    Args:
        spec: Complete, as it is used.
        facts: The configuration's `pretrained_cfg`; what it leaves out is not compared.
        repository: For the sentence.

    Returns:
        A sentence; empty if they agree.
    """
    stated = {
        "input_px": (facts.get("input_size") or (None,))[-1],
        "mean": facts.get("mean"),
        "std": facts.get("std"),
        "interpolation": facts.get("interpolation"),
    }
    differing = [
        f"{name} {_text(stated[name])} (used: {_text(getattr(spec, name))})"
        for name in _COMPARED
        if stated[name] is not None and not _is_close(stated[name], getattr(spec, name))
    ]
    crop = facts.get("crop_pct")
    if isinstance(crop, int | float) and 0 < crop < 1 and spec.resize_px is None:
        differing.append(f"crop_pct {crop:g} (used: 1, the whole tile)")
    if not differing:
        return ""
    return f"the {CONFIG_FILE} of {repository} says {', '.join(differing)}"


def read_stated(repository: str) -> JsonObject:
    """`pretrained_cfg` of a repository, if its configuration is in the local cache; else empty."""
    path = find_file(repository, CONFIG_FILE)
    values = {} if path is None else _read_object(path)
    stated = values.get("pretrained_cfg", values)
    return stated if isinstance(stated, dict) else {}


def _read_object(path: Path) -> JsonObject:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_close(stated: Any, used: Any) -> bool:
    try:
        pairs = zip(stated, used, strict=True)
        return all(abs(a - b) < _TOLERANCE for a, b in pairs)
    except TypeError:  # not a row of numbers
        return bool(stated == used)
    except ValueError:
        return False


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(f"{number:g}" for number in value)
    return str(value)
