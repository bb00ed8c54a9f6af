from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import timm
import torch
from torch import nn

from histo_ray.encoders.folding import fold_batch_norms


def make(name: str, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: nothing is 0 or 1
            size = module.running_mean.shape  # type: ignore[union-attr]
            module.running_mean = torch.randn(size, generator=generator) * 0.1
            module.running_var = torch.rand(size, generator=generator) + 0.5
            module.weight.data = torch.rand(size, generator=generator) + 0.5
            module.bias.data = torch.randn(size, generator=generator) * 0.1
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "kwargs", "left"),
    [
        ("legacy_xception", {}, 0),
        ("resnet50", {}, 0),
        ("resnet18", {}, 0),
        ("resnet10t", {}, 0),
        ("mobilenetv2_100", {"pad_type": "same"}, 0),
        ("mobilenetv2_100", {}, 0),
        ("efficientnet_b0", {}, 0),
        ("densenet121", {}, None),
    ],
)
def test_a_folded_network_gives_the_same_vectors(
    name: str, kwargs: dict[str, Any], left: int | None
) -> None:
    network = make(name, **kwargs)
    folded = deepcopy(network)
    assert fold_batch_norms(folded) > 0
    if left is not None:
        assert norms(folded) == left
    tiles = torch.randn(3, 3, 75, 75, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        plain, fused = network(tiles), folded(tiles)
    assert torch.nn.functional.cosine_similarity(plain, fused).min() >= 0.9999
    assert (plain - fused).abs().max() <= 1e-4 * plain.abs().max()


def test_a_network_without_batch_norm_is_left_alone() -> None:
    network = make("vit_tiny_patch16_224", img_size=64)
    assert fold_batch_norms(network) == 0


class Toy(nn.Module):
    def __init__(self, forward: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([0.5, -0.5, 0.1])
        self.norm.running_var = torch.tensor([2.0, 0.5, 1.5])
        self._run = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(self, x)


def _output_used_twice(toy: Any, x: torch.Tensor) -> torch.Tensor:
    y = toy.conv(x)
    return toy.norm(y) + y  # type: ignore[no-any-return]


def _convolution_used_twice(toy: Any, x: torch.Tensor) -> torch.Tensor:
    return toy.norm(toy.conv(toy.conv(x)))  # type: ignore[no-any-return]


def _norm_used_twice(toy: Any, x: torch.Tensor) -> torch.Tensor:
    return toy.norm(toy.norm(toy.conv(x)))  # type: ignore[no-any-return]


def _path_by_data(toy: Any, x: torch.Tensor) -> torch.Tensor:
    return toy.norm(toy.conv(x)) if x.sum() > 0 else toy.conv(x)  # type: ignore[no-any-return]


def _something_between(toy: Any, x: torch.Tensor) -> torch.Tensor:
    return toy.norm(torch.relu(toy.conv(x)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "forward",
    [_output_used_twice, _convolution_used_twice, _norm_used_twice, _path_by_data,
     _something_between],
)  # fmt: skip
def test_a_pair_that_is_not_alone_is_not_folded(
    forward: Callable[[Any, torch.Tensor], torch.Tensor],
) -> None:
    toy = Toy(forward).eval()
    tile = torch.rand(1, 3, 4, 5)
    before = toy(tile)
    assert fold_batch_norms(toy) == 0
    assert torch.equal(toy(tile), before)


def test_batch_statistics_are_not_folded() -> None:
    toy = Toy(lambda toy, x: toy.norm(toy.conv(x)))
    assert fold_batch_norms(toy.train()) == 0
