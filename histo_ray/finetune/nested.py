"""Nested values with tensors in them as safetensors: tensors and JSON, nothing that can run."""

import json
from typing import Any

import safetensors.torch
import torch

_KEY = "histo_ray"

Tensors = dict[str, torch.Tensor]


def pack_nested(value: Any) -> bytes:
    """Bytes of a value made of dicts, lists, tuples, tensors and what JSON knows.

    Keys of dicts may be text or whole numbers; floats may be inf or nan.

    Raises:
        TypeError: It holds something else.
    """
    tensors: Tensors = {}
    structure = json.dumps(_take_out(value, tensors, set()))
    data: bytes = safetensors.torch.save(tensors, {_KEY: structure})
    return data


def unpack_nested(data: bytes) -> Any:
    """The inverse of `pack_nested`; tensors are on CPU.

    Raises:
        ValueError: Not such bytes, or damaged.
    """
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        return _put_back(
            json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY]), tensors
        )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"no nested tensors ({error})") from None


def _take_out(value: Any, tensors: Tensors, seen: set[int]) -> Any:
    """`value` for JSON, each part with its kind; tensors go into `tensors`."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        plain = value.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        tensors[name] = (
            plain.clone() if address in seen else plain
        )  # safetensors refuses shared memory
        seen.add(address)
        return ["tensor", name]
    if isinstance(value, dict):
        pairs = [[key, _take_out(inner, tensors, seen)] for key, inner in value.items()]
        return ["dict", pairs]
    if isinstance(value, list | tuple):
        return [type(value).__name__, [_take_out(inner, tensors, seen) for inner in value]]
    if value is None or isinstance(value, bool | int | float | str):
        return ["plain", value]
    raise TypeError(f"a {type(value).__name__} cannot be packed, only tensors and what JSON knows")


def _put_back(structure: Any, tensors: Tensors) -> Any:
    kind, value = structure
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: _put_back(inner, tensors) for key, inner in value}
    if kind in ("list", "tuple"):
        items = [_put_back(inner, tensors) for inner in value]
        return items if kind == "list" else tuple(items)
    if kind == "plain":
        return value
    raise ValueError(f"a part of kind {kind!r}")
