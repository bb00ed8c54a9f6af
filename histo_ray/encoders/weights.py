"""Weights on disk and in a network: reading, fitting and telling them apart.

A pickle can run any code when it is opened in full. We never do that: torch's restricted reader
gives tensors or nothing.
"""

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo_ray.errors import ConfigError

if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]
_SHOWN = 3
_WRAPPERS = ("state_dict", "model")
"""Keys under which training programs put the weights, beside an optimizer and the like."""
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What torch raises for bytes that are no torch file; UnpicklingError comes before them."""


def read_weights(path: Path, encoder: str) -> Weights:
    """Read a .safetensors file, or the tensors of a torch pickle (.pth, .pt, .bin).

    Raises:
        ConfigError: Missing, unreadable or damaged, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise ConfigError(
            f"encoder {encoder!r}: no file {path}, weights wanted; check the path, which every "
            "node must see"
        )
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path, encoder)
    return _read_pickle(path, encoder)


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
        *_list("missing", {k for k in wanted.keys() - fitted.keys() if not _counts(k)}),
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


def _read_safetensors(path: Path, encoder: str) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"encoder {encoder!r}: {path} is damaged or no safetensors file "
            f"({_one_line(error)}), weights wanted; fetch it again"
        ) from None


def _read_pickle(path: Path, encoder: str) -> Weights:
    """Read tensors only; nothing in the file is run."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our one line says it all
            content: object = torch.load(
                path,
                weights_only=True,
                map_location="cpu",
                mmap=zipfile.is_zipfile(path),  # files from before torch 1.6 are no archives
            )
    except pickle.UnpicklingError:
        raise ConfigError(_refusal(path, encoder)) from None
    except _DAMAGED as error:
        raise ConfigError(
            f"encoder {encoder!r}: {path} is damaged or no torch file ({_one_line(error)}), "
            "weights wanted; delete it and fetch it again"
        ) from None
    weights = _unwrap(content)
    if weights is None:
        raise ConfigError(_refusal(path, encoder))
    return weights


def _unwrap(content: object) -> Weights | None:
    """Find the one mapping of names to tensors; None if there is none."""
    import torch

    if not isinstance(content, Mapping):
        return None
    inner = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)), content)
    if all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in inner.items()):
        return dict(inner)
    return None


def _refusal(path: Path, encoder: str) -> str:
    return (
        f"encoder {encoder!r}: {path} is refused: a pickle that is damaged or holds more than "
        "tensors can run any code, a plain state_dict wanted; if you trust its origin, open it "
        "yourself, write its state_dict with safetensors.torch.save_file(state_dict, "
        "'w.safetensors'), and give that file"
    )


def _filter(network: "torch.nn.Module", weights: Weights, architecture: str) -> Weights:
    import importlib

    from histo_ray.encoders.lean_timm import timm

    entry = timm.models.model_entrypoint(architecture)
    run: Any = getattr(importlib.import_module(entry.__module__), "checkpoint_filter_fn", None)
    if run is None:
        return weights
    try:
        filtered: Weights = run(dict(weights), network)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return weights  # not in a form timm knows: the comparison says what is wrong
    return filtered


def _counts(key: str) -> bool:
    """Whether `key` counts training steps: of no use here, and missing in files before torch 0.4.

    torch sets it to 0 by itself.
    """
    return key.endswith(".num_batches_tracked")


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
