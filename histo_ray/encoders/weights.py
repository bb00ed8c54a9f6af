"""Weights on disk and in a network: reading, fitting and telling them apart. Safetensors only."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo_ray.errors import ConfigError

if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]
_SHOWN = 3


def read_weights(path: Path, encoder: str) -> Weights:
    """Read a .safetensors file.

    Raises:
        ConfigError: Missing, unreadable or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(
            f"encoder {encoder!r}: no file {path}, weights wanted; check the path, which every "
            "node must see"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"encoder {encoder!r}: {path} is damaged or no safetensors file "
            f"({' '.join(str(error).split())[:120]}), weights wanted; fetch it again"
        ) from None


def fit_weights(network: "torch.nn.Module", weights: Weights, architecture: str) -> None:
    """Load `weights` into `network`, all of them or none.

    timm's own filter for the architecture runs first: it renames keys of old checkpoints and
    resamples position embeddings to the network's input size. A classifier head is dropped.

    Args:
        network: Built by timm without a classifier.
        weights: From `read_weights`.
        architecture: timm name of the network.

    Raises:
        ConfigError: Keys are missing or left over, or shapes differ; some are named.
    """
    wanted = network.state_dict()
    fitted = _filter(network, weights, architecture)
    heads = _heads(network)
    fitted = {k: v for k, v in fitted.items() if k in wanted or k.partition(".")[0] not in heads}
    problems = [
        *_list("missing", wanted.keys() - fitted.keys()),
        *_list("left over", fitted.keys() - wanted.keys()),
        *_list("of another shape", _misshapen(wanted, fitted, weights)),
    ]
    if problems:
        raise ConfigError(
            f"weights for {architecture}: {'; '.join(problems)}, a full match wanted; "
            "check the architecture and its keys"
        )
    network.load_state_dict(fitted, strict=True)


def digest_weights(weights: Mapping[str, "torch.Tensor"]) -> str:
    """SHA-256, in hex, over names, types, shapes and bytes in the order of names."""
    import torch

    total = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        total.update(memoryview(content))
    return total.hexdigest()


def _filter(network: "torch.nn.Module", weights: Weights, architecture: str) -> Weights:
    import importlib

    import timm

    entry = timm.models.model_entrypoint(architecture)
    run: Any = getattr(importlib.import_module(entry.__module__), "checkpoint_filter_fn", None)
    if run is None:
        return weights
    try:
        filtered: Weights = run(dict(weights), network)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return weights  # not in a form timm knows: the comparison says what is wrong
    return filtered


def _heads(network: "torch.nn.Module") -> set[str]:
    """First parts of the names of classifier weights."""
    names = (getattr(network, "pretrained_cfg", None) or {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return {name.partition(".")[0] for name in names}


def _misshapen(wanted: Weights, fitted: Weights, given: Weights) -> set[str]:
    """Keys of a wrong shape, also those that the filter has made fit by resampling.

    Only a position embedding may be resampled: doing that to a kernel is another network.
    """
    wrong = {k for k in wanted.keys() & fitted.keys() if wanted[k].shape != fitted[k].shape}
    for key in wanted.keys() & given.keys():
        resampled = given[key].numel() != wanted[key].numel()
        if resampled and not any(part in key for part in ("pos_embed", "rel_pos")):
            wrong.add(key)
    return wrong


def _list(problem: str, keys: set[str]) -> list[str]:
    if not keys:
        return []
    shown = ", ".join(sorted(keys)[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{len(keys)} {problem} ({shown}{more})"]
