from collections.abc import Callable
from typing import Any

import pytest

from histo_ray.finetune.layers import choose_layers, group_layers
from histo_ray.finetune.recipe import NetworkConfig

MakeJob = Callable[..., tuple[Any, Any]]


def configure(**values: Any) -> NetworkConfig:
    return NetworkConfig.model_validate(values)


@pytest.mark.parametrize(
    "base", ["random:resnet10t?px=48", "random:mobilenetv2_035?px=48", "random:legacy_xception"]
)
def test_rates_fall_from_the_head_downwards_in_any_network(make_job: MakeJob, base: str) -> None:
    classifier = make_job(base=base)[1]
    choose_layers(classifier, None)
    groups = group_layers(classifier, configure(rate=2e-3, layer_decay=0.5))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    order = [rates[id(p)] for p in classifier.network.parameters()]
    assert len(rates) == sum(1 for _ in classifier.parameters())
    assert rates[id(classifier.head.weight)] == max(order) == 2e-3
    assert order[0] == min(order) < 2e-3 / 4
    assert all(
        group["weight_decay"] == 0 for group in groups for p in group["params"] if p.ndim == 1
    )


def test_only_the_topmost_stages_are_trained_where_that_is_asked_for(make_job: MakeJob) -> None:
    classifier = make_job()[1]
    every = choose_layers(classifier, None)
    top = choose_layers(classifier, 1)
    trained = {n for n, p in classifier.network.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("layer4") for name in trained)
    assert 0 < top < every
    assert classifier.head.weight.requires_grad
    groups = group_layers(classifier, configure())
    assert sum(len(group["params"]) for group in groups) == len(trained) + 2
    assert choose_layers(classifier, 99) == every
