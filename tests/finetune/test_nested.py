import math
import pickle
from typing import Any

import pytest
import torch

from histo_ray.finetune.nested import pack_nested, unpack_nested


def train_a_little() -> torch.optim.Optimizer:
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    (weight**2).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return optimizer


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(equal, one, other))
    return type(one) is type(other) and (one == other or (math.isnan(one) and math.isnan(other)))


def test_an_optimizer_comes_back_to_the_bit_and_with_its_types() -> None:
    half = torch.tensor([1.5, -0.0, math.inf], dtype=torch.bfloat16)
    whole = torch.arange(12.0).reshape(3, 4)
    value = {
        "optimizer": train_a_little().state_dict(),
        "floats": [math.nan, -math.inf, 1e-300],
        "pair": (1, True, None, "text"),
        "half": half,
        "views of one storage": [whole, whole[1:], whole.T],
        7: {},
    }
    assert equal(unpack_nested(pack_nested(value)), value)


def test_a_pickle_is_not_opened() -> None:
    for data in (pickle.dumps({"a": 1}), b"", b"\xff" * 100, pack_nested({"a": 1})[:-3]):
        with pytest.raises(ValueError, match="no nested tensors"):
            unpack_nested(data)


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="a set cannot be packed"):
        pack_nested({"a": {1, 2}})
