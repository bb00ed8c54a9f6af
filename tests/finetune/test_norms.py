import pytest
import torch
from torch import nn

from histo_ray.finetune.norms import recalibrate, set_mode


def build() -> nn.Sequential:
    """Two batch norms of unlike numbers; the second sees the first through a ReLU."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.BatchNorm2d(4)
    )
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) * 2 + 0.1)
    return network.eval()


def draw_batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 3, 9, 14, generator=generator) * 3 + 1 for count in (4, 7)]


def test_recalibrating_keeps_the_output_and_makes_batch_statistics_agree_with_it() -> None:
    network = build().double()  # float32 rounds by more than 1e-5 on some processors
    batches = [batch.double() for batch in draw_batches()]
    before = network(torch.cat(batches))
    assert recalibrate(network, batches) == 2
    torch.testing.assert_close(network(torch.cat(batches)), before, atol=1e-9, rtol=1e-9)
    training = network.train()(torch.cat(batches))
    torch.testing.assert_close(training, before, atol=1e-2, rtol=1e-3)


def test_recalibrated_statistics_are_those_of_the_input() -> None:
    network, batches = build(), draw_batches()
    recalibrate(network, batches)
    seen = network[0](torch.cat(batches)).detach()
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(
        norm.running_var, seen.var((0, 2, 3), unbiased=False), atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norms_stay_in_eval_mode_while_the_rest_trains(frozen: bool) -> None:
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    set_mode(network, True, frozen)
    assert network[0].training
    assert network[1].training is not frozen
    set_mode(network, False, frozen)
    assert not network[1].training
