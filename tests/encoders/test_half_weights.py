"""What a GPU encoder does to its network, tried on CPU: half weights, folding, channels-last."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from histo_ray.encoders.folding import fold_batch_norms
from histo_ray.encoders.half_weights import hold_in_half
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.torch_encoder import TorchEncoder
from tests.encoders.test_folding import make

NETWORKS = ("resnet10t", "mobilenetv2_100", "legacy_xception", "vit_tiny_patch16_224")


def build(name: str) -> nn.Module:
    return make(name, **({"img_size": 64} if name.startswith("vit") else {}))


def run(network: nn.Module, dtype: torch.dtype | None) -> torch.Tensor:
    tiles = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    tiles = tiles.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
        vectors: torch.Tensor = network(tiles)
    return vectors.float()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_held_in_half_precision_give_the_bits_of_autocast(
    name: str, dtype: torch.dtype
) -> None:
    network = build(name)
    held = deepcopy(network)
    assert hold_in_half(held, dtype) > 4
    halves = sum(p.numel() for p in held.parameters() if p.dtype == dtype)
    assert halves > 0.9 * sum(p.numel() for p in held.parameters())
    assert not any(p.dtype == dtype for n, p in held.named_parameters() if "norm" in n)
    vectors = run(held, dtype)
    assert torch.equal(vectors, run(network, dtype))
    assert vectors.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS[:3])
def test_folded_batch_norms_stay_close_in_half_precision(name: str) -> None:
    network = build(name)
    folded = deepcopy(network)
    assert fold_batch_norms(folded) > 0
    hold_in_half(folded, torch.bfloat16)
    exact = run(network, None)
    cosine = torch.nn.functional.cosine_similarity
    plain = cosine(run(network, torch.bfloat16), exact).min()
    found = cosine(run(folded, torch.bfloat16), exact).min()
    print(f"{name}: least cosine to float32 {found:.6f} folded, {plain:.6f} as it is")
    assert found > 0.995
    assert found > plain - 0.003


def test_a_layer_that_computes_its_weights_keeps_float32() -> None:
    network = make("nf_resnet26")
    kinds = {type(m).__name__ for m in network.modules() if isinstance(m, nn.Conv2d)}
    hold_in_half(network, torch.bfloat16)
    assert kinds == {"ScaledStdConv2d"}
    assert all(p.dtype == torch.float32 for p in network.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NETWORKS[:3])
def test_every_convolution_is_given_channels_last(
    name: str, precision: str, tiles: Callable[..., Any]
) -> None:
    seen: list[str] = []
    network = build(name)

    def check(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(str(layer))
        (values,), weight = given, layer.weight
        assert values.is_contiguous(memory_format=torch.channels_last), (layer, values.stride())
        assert isinstance(weight, torch.Tensor)
        assert weight.is_contiguous(memory_format=torch.channels_last), layer

    _, spec = build_network(resolve(f"random:{name}?px=64"))
    encoder: Any = TorchEncoder(spec, network, "cpu", precision, 1)
    for layer in encoder._network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(check)
    encoder.encode(tiles(3, 64))
    encoder.encode(np.ascontiguousarray(tiles(3, 80)))  # resized first
    assert len(seen) >= 20
