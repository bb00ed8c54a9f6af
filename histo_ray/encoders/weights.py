"""Weights on disk and in a network: reading, fitting and telling them apart.

A pickle can run any code when it is opened in full. We never do that: torch's restricted reader
gives tensors or nothing.
"""

import hashlib
import importlib
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.positions import ResamplingWatch
from histo_ray.errors import ConfigError

Weights = dict[str, torch.Tensor]
Filter = Callable[..., Any]
"""timm's function from the weights of a checkpoint, and the network, to what the network loads."""
_SHOWN = 3
_POSITIONS = ("pos_embed", "rel_pos", "relative_position", "position_bias", "attention_bias")
"""Parts of the names of weights that say where a patch lies."""
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
            f"encoder {encoder!r}: there is no weights file {path} on this machine; check the "
            "path, which every node must see"
        )
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path, encoder)
    return _read_pickle(path, encoder)


def select_weights(weights: Weights, spec: EncoderSpec) -> Weights:
    """Those of a network within the weights of a larger one, by the prefix that the spec states.

    Raises:
        ConfigError: None has it.
    """
    prefix = spec.weights_prefix
    if not prefix:
        return weights
    found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if not found:
        raise ConfigError(
            f"encoder {spec.name!r}: no name of its weights begins with {prefix!r}, as its entry "
            f"states; they begin as {', '.join(sorted(weights)[:_SHOWN])}"
        )
    return found


def fit_weights(
    network: torch.nn.Module,
    weights: Weights,
    architecture: str,
    checkpoint_filter: Filter | None = None,
    *,
    may_have_more: bool = False,
) -> str:
    """Load `weights` into `network`, all of them or none.

    timm's own filter for the network runs first: it renames keys of old checkpoints and resamples
    position embeddings to the network's input size. A classifier head is dropped.

    Args:
        network: A timm network without a classifier.
        weights: From `read_weights`.
        architecture: timm name of the network.
        checkpoint_filter: What timm would pass the weights through; None: what the module of the
            architecture has under the usual name.
        may_have_more: Whether timm itself ignores weights that the network has no place for.

    Returns:
        Which position embedding was resampled, as "37x37 to 16x16"; empty if none was.

    Raises:
        ConfigError: Keys are missing or left over, or shapes differ; some are named.
    """
    expected = network.state_dict()
    with ResamplingWatch() as watch:
        fitted = _filter(network, weights, checkpoint_filter or _usual_filter(architecture))
    heads = _heads(network, architecture)
    fitted = {k: v for k, v in fitted.items() if k in expected or k.partition(".")[0] not in heads}
    if may_have_more:
        fitted = {k: v for k, v in fitted.items() if k in expected}
    misshapen = _misshapen(expected, fitted, weights)
    problems = [
        *_list("missing", {k for k in expected.keys() - fitted.keys() if not _counts(k)}),
        *_list("not in the network", fitted.keys() - expected.keys()),
        *_list("of another shape", misshapen),
    ]
    if problems:
        raise ConfigError(
            f"the weights are not those of {architecture} as it was built: {'; '.join(problems)}; "
            "check the architecture and its arguments"
        )
    resampled = watch.describe() or _reshaped(fitted, weights)
    network.load_state_dict(fitted, strict=True)
    return resampled


def load_whole(network: torch.nn.Module, weights: Weights, origin: str) -> None:
    """Load weights into a network, all of them or none; they may lie elsewhere, as on `meta`.

    Args:
        network: The network, which takes the tensors themselves.
        weights: By the network's own names.
        origin: Whose they are, for the message.

    Raises:
        ConfigError: Some are missing, left over or of another shape.
    """
    expected = network.state_dict()
    wrong = [name for name in expected.keys() ^ weights.keys() if not _counts(name)]
    shared = expected.keys() & weights.keys()
    wrong += [name for name in shared if expected[name].shape != weights[name].shape]
    if wrong:
        raise ConfigError(
            f"{origin} does not fit the network ({len(wrong)} weights are missing, left over or of "
            f"another shape, as {', '.join(sorted(wrong)[:_SHOWN])}); restore the file from its "
            "repository"
        )
    network.load_state_dict(weights, strict=False, assign=True)


def digest_weights(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256, in hex, over names, types, shapes and bytes in the order of names."""
    total = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        total.update(memoryview(content))
    return total.hexdigest()


def _read_safetensors(path: Path, encoder: str) -> Weights:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"encoder {encoder!r}: {path} is damaged or no safetensors file "
            f"({_one_line(error)}); delete it and fetch it again"
        ) from None


def _read_pickle(path: Path, encoder: str) -> Weights:
    """Read tensors only; nothing in the file is run."""
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
            f"encoder {encoder!r}: {path} is damaged or no file of torch ({_one_line(error)}); "
            "delete it and fetch it again"
        ) from None
    weights = _unwrap(content)
    if weights is None:
        raise ConfigError(_refusal(path, encoder))
    return weights


def _unwrap(content: object) -> Weights | None:
    """Find the one mapping of names to tensors; None if there is none."""
    if not isinstance(content, Mapping):
        return None
    inner = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)), content)
    if all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in inner.items()):
        return dict(inner)
    return None


def _refusal(path: Path, encoder: str) -> str:
    return (
        f"encoder {encoder!r}: {path} is refused, because a pickle that is damaged or holds more "
        "than tensors can run any code when it is opened; if you trust its origin, open it "
        "yourself, write its state_dict with safetensors.torch.save_file(state_dict, "
        "'w.safetensors'), and give that file"
    )


def keep_weights(weights: Weights, network: torch.nn.Module) -> Weights:
    """The filter of networks for which timm has none."""
    return weights


def _usual_filter(architecture: str) -> Filter:
    module = importlib.import_module(timm.models.model_entrypoint(architecture).__module__)
    found: Filter = getattr(module, "checkpoint_filter_fn", keep_weights)
    return found


def _filter(network: torch.nn.Module, weights: Weights, checkpoint_filter: Filter) -> Weights:
    """Weights as timm's filter leaves them; as they are where it cannot read them."""
    try:
        try:
            filtered: Weights = checkpoint_filter(dict(weights), network)
        except TypeError:  # timm has filters of one argument
            filtered = checkpoint_filter(dict(weights))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return weights  # not in a form timm knows: the comparison says what is wrong
    return filtered


def _counts(key: str) -> bool:
    """Whether `key` counts training steps: of no use here, and missing in files before torch 0.4.

    torch sets it to 0 by itself.
    """
    return key.endswith(".num_batches_tracked")


def _heads(network: torch.nn.Module, architecture: str) -> set[str]:
    """First parts of the names of classifier weights; a hub's configuration may not name them."""
    default = timm.get_pretrained_cfg(architecture.partition(".")[0])
    stated = getattr(network, "pretrained_cfg", None) or {}
    names = [stated.get("classifier"), default.classifier if default else None]
    flat = [n for name in names if name for n in ((name,) if isinstance(name, str) else name)]
    return {name.partition(".")[0] for name in flat}


def _misshapen(expected: Weights, fitted: Weights, given: Weights) -> set[str]:
    """Keys of a wrong shape, also those that the filter has made fit by resampling.

    Only a position embedding may be resampled: doing that to a kernel is another network.
    """
    wrong = {k for k in expected.keys() & fitted.keys() if expected[k].shape != fitted[k].shape}
    for key in expected.keys() & given.keys():
        if given[key].numel() != expected[key].numel() and not _is_position(key):
            wrong.add(key)
    return wrong


def _is_position(key: str) -> bool:
    return any(part in key for part in _POSITIONS)


def _reshaped(fitted: Weights, given: Weights) -> str:
    """Tables of relative positions that the filter has made larger or smaller."""
    for key in sorted(fitted.keys() & given.keys()):
        before, after = given[key].shape, fitted[key].shape
        if _is_position(key) and before.numel() != after.numel() and len(before) == 2:
            return f"{key} of {before[0]} positions to {after[0]}"
    return ""


def _list(problem: str, keys: set[str]) -> list[str]:
    if not keys:
        return []
    shown = ", ".join(sorted(keys)[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{len(keys)} {problem} ({shown}{more})"]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
