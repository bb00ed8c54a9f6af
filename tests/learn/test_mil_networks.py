import numpy as np
import pytest
import torch
from pydantic import JsonValue

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.kinds.registry import MIL_KINDS, find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.clam import ClamNetwork
from histo_ray.learn.mil.networks.registry import (
    NETWORKS,
    NetworkEntry,
    check_network,
    find_network,
    network_names,
)
from histo_ray.types import TargetKind
from tests.learn.mil_bags import make_bags
from tests.learn.mil_network_contract import MilNetworkContract


class TestMilNetworks(MilNetworkContract):
    @pytest.fixture(params=NETWORKS, ids=lambda entry: entry.name)
    def entry(self, request: pytest.FixtureRequest) -> NetworkEntry:
        entry: NetworkEntry = request.param
        return entry


def test_an_unknown_network_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"network 'clams': there is no such.*did you mean"):
        find_network("clams")
    with pytest.raises(ConfigError, match=r"clam: it predicts binary targets.*use abmil"):
        check_network("clam", TargetKind.CONTINUOUS)
    assert "clam" not in network_names(TargetKind.CONTINUOUS)


def test_each_kind_of_targets_is_one_object_and_others_are_refused_clearly() -> None:
    assert [find_kind(one.kind) for one in MIL_KINDS] == list(MIL_KINDS)
    with pytest.raises(ConfigError, match=r"head mil: it predicts binary or continuous targets"):
        find_kind("survival")  # type: ignore[arg-type]


def test_settings_of_a_run_from_before_there_were_networks_stay_as_they_are_named() -> None:
    old: dict[str, JsonValue] = {
        "hidden": 64, "attention": 32, "dropout": 0.5, "rate": 0.003, "weight_decay": 0.01,
        "epochs": 100, "patience": 20, "tiles_per_bag": 512, "batch": 16, "stop_share": 0.2,
        "members": 1, "balanced": False, "device": "cpu",
    }  # fmt: skip
    assert MilSettings(members=1).to_record() == old
    assert MilSettings.from_record({"task": "mutation", **old}).to_record() == old
    three: dict[str, JsonValue] = {**old, "members": 3}
    assert MilSettings.from_record(three).member_seeds == "shared"
    assert MilSettings.from_record(three).to_record() == three
    assert MilSettings(members=3).to_record() != three
    clam = MilSettings(network="clam").to_record()
    assert clam["instance_tiles"] == 8
    assert "inducing" not in clam
    assert MilSettings.from_record(clam) == MilSettings(network="clam")


def test_a_network_brings_its_own_rate_unless_one_is_given() -> None:
    assert MilSettings().rate == 3e-3
    assert MilSettings(network="transformer").rate == 1e-3
    assert MilSettings(network="transformer", rate=0.01).rate == 0.01


def test_the_loss_of_tiles_is_that_of_its_source() -> None:
    bags, _ = make_bags(3)
    settings = MilSettings(network="clam", hidden=6, attention=4, dropout=0, instance_tiles=4)
    torch.manual_seed(0)
    network = ClamNetwork(settings, *measure_bags(bags).moments(), 1)
    tiles = torch.zeros(2, 12, bags[0].shape[1])
    counts = (12, 5)  # the second has too few for four most and four least attended tiles
    missing = torch.ones(2, 12, dtype=torch.bool)
    for at, count in enumerate(counts):
        some = np.resize(bags[at], (count, bags[at].shape[1]))
        tiles[at, :count] = torch.from_numpy(some.astype(np.float32))
        missing[at, :count] = False
    loss = network.training_loss(
        tiles, missing, torch.tensor([[1.0], [0.0]]), lambda outputs, _: outputs.sum()
    )
    _, hidden, scores = network.pool(tiles, missing)
    losses = []
    for at, (count, most, own) in enumerate(zip(counts, (4, 2), (1, 0), strict=True)):
        order = scores[at, :count].argsort()
        chosen = [*((int(row), 0) for row in order[:most]), *((int(r), 1) for r in order[-most:])]
        for row, truth in chosen:
            logits = network.instances(hidden[at, row]).view(2, 2)[own]
            losses.append(-logits.log_softmax(0)[truth].item())
    outputs = network(tiles, missing).sum()
    expected = 0.7 * outputs.item() + 0.3 * float(np.mean(losses))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert len(losses) == 12
