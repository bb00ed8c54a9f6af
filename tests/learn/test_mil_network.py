import json
from collections.abc import Iterator

import numpy as np
import pytest
import safetensors.torch
import torch

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.draw import TileDraw
from histo_ray.learn.mil.head import read_head
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.abmil import AttentionNetwork
from histo_ray.learn.mil.optimizer import AdamW
from histo_ray.types import TargetKind
from tests.learn.mil_bags import DIM, SMALL, make_bags, small_head


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_attention_sums_to_one_and_follows_its_tile() -> None:
    head, bags = small_head(members=2)
    bag = max(bags.vectors, key=len)
    attention = head.attend(bag)
    assert attention.shape == (len(bag),)
    assert (attention > 0).all()
    assert attention.sum() == pytest.approx(1, abs=1e-12)
    order = np.random.default_rng(0).permutation(len(bag))
    np.testing.assert_allclose(head.attend(bag[order]), attention[order], atol=1e-6)
    np.testing.assert_allclose(head.predict([bag[order]]), head.predict([bag]), atol=1e-6)


def test_a_bag_is_the_same_padded_or_alone_or_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    bags, _ = make_bags(5)
    settings = MilSettings(hidden=12, attention=6, dropout=0, tiles_per_bag=1000)
    network = AttentionNetwork(settings, *measure_bags(bags).moments(), 1).eval()
    rows = np.array([4, 0, 3])
    tiles, missing = TileDraw(bags, settings)(rows, np.random.default_rng(0))
    assert missing is not None
    with torch.inference_mode():
        together = network(tiles, missing)
    alone = torch.stack([network.predict(bags[row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr("histo_ray.learn.mil.networks.base.BLOCK_VALUES", 3 * DIM)
    blocks = torch.stack([network.predict(bags[row]) for row in rows])
    np.testing.assert_allclose(blocks, alone, atol=1e-5, rtol=1e-4)


def test_the_network_is_the_formula_of_its_source() -> None:
    bags, _ = make_bags(3)
    measured = measure_bags(bags)
    mean, sd = measured.moments()
    network = AttentionNetwork(SMALL, mean, sd, 2).eval()
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    tiles = np.divide(bags[1] - mean, sd, out=np.zeros(bags[1].shape), where=sd > 1e-9)
    h = np.maximum(tiles @ w["project.weight"].T + w["project.bias"], 0)
    v, u = np.split(h @ w["gates.weight"].T + w["gates.bias"], 2, axis=1)
    e = np.exp((np.tanh(v) / (1 + np.exp(-u))) @ w["weigh.weight"][0])
    answer, attention = network.predict(bags[1]), network.attend(bags[1])
    np.testing.assert_allclose(attention, e / e.sum(), rtol=1e-4)
    wanted = (e / e.sum()) @ h @ w["answer.weight"].T + w["answer.bias"]
    np.testing.assert_allclose(answer, wanted, rtol=1e-4, atol=1e-5)


def test_every_weight_has_a_gradient_and_padding_has_none() -> None:
    bags, _ = make_bags(6)
    settings = SMALL.model_copy(update={"tiles_per_bag": 1000})
    network = AttentionNetwork(settings, *measure_bags(bags).moments(), 1)
    tiles, missing = TileDraw(bags, settings)(np.arange(6), np.random.default_rng(0))
    assert missing is not None
    tiles = tiles.clone().requires_grad_()
    network(tiles, missing).sum().backward()
    assert tiles.grad is not None
    assert (tiles.grad[missing] == 0).all()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_the_optimizer_is_adamw_of_its_source() -> None:
    own = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 0.5]]))
    optimizer = AdamW([own], MilSettings(rate=0.1, weight_decay=0.5))
    plain = own.detach().double().numpy().copy()
    average, square = np.zeros_like(plain), np.zeros_like(plain)
    for step in range(1, 4):
        optimizer.step(((own * step - 1) ** 2).sum())
        gradient = 2 * step * (plain * step - 1)
        average = 0.9 * average + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        move = average / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        plain -= 0.1 * (move + 0.5 * plain)
        np.testing.assert_allclose(own.detach().numpy(), plain, rtol=1e-5)


def test_a_head_survives_as_bytes() -> None:
    head, bags = small_head(members=2)
    data = head.to_bytes()
    again = read_head(data, "x.safetensors")
    assert again.settings == head.settings
    assert again.epochs == head.epochs
    np.testing.assert_array_equal(again.inner_score, head.inner_score)
    np.testing.assert_array_equal(again.predict(bags.vectors), head.predict(bags.vectors))
    np.testing.assert_array_equal(again.attend(bags.vectors[3]), head.attend(bags.vectors[3]))


@pytest.mark.parametrize(("task", "binary"), [("mutation", True), ("expression", False)])
def test_bytes_of_a_head_whose_settings_named_a_task_are_read(task: str, binary: bool) -> None:
    head, bags = small_head()
    weights = safetensors.torch.load(head.to_bytes())
    facts = {
        "settings": head.settings.model_dump() | {"task": task},
        "shift": head.shift.tolist(), "spread": head.spread.tolist(), "epochs": head.epochs,
        "inner_score": head.inner_score.tolist(),
    }  # fmt: skip
    old = read_head(safetensors.torch.save(weights, {"histo_ray_mil": json.dumps(facts)}), "old")
    assert (old.kind is TargetKind.BINARY) is binary
    assert ((old.predict(bags.vectors) == head.predict(bags.vectors)).all()) == binary


@pytest.mark.parametrize("damage", [b"", b"\x08\x00", b"not a head of anything at all"])
def test_damaged_bytes_are_named(damage: bytes) -> None:
    with pytest.raises(ConfigError, match=r"heads/a: damaged.*train it again"):
        read_head(damage, "heads/a")
    head, _ = small_head()
    with pytest.raises(ConfigError, match=r"heads/b: damaged"):
        read_head(head.to_bytes()[:-40], "heads/b")


def test_tiles_are_drawn_without_putting_back_and_anew() -> None:
    bag = np.arange(33, dtype=np.float32).repeat(DIM).reshape(33, DIM)
    few = bag[:4] + 100
    bag.flags.writeable = few.flags.writeable = False  # as Ray's object store gives them
    random = np.random.default_rng(0)
    draw = TileDraw([bag, few], SMALL)
    draw(np.array([0, 1]), random)  # leaves other tiles behind
    seen = set()
    for _ in range(30):
        tiles, missing = draw(np.array([1, 0]), random)
        assert tiles.shape == (2, 9, DIM)
        assert missing is not None
        assert missing.sum(1).tolist() == [5, 0]
        assert tiles[0, :4, 0].tolist() == [100, 101, 102, 103]
        assert (tiles[0, 4:] == 0).all()
        drawn = tiles[1, :, 0].tolist()
        assert len(set(drawn)) == 9
        seen.update(drawn)
    assert seen == set(range(33))
    assert draw(np.array([0]), random)[1] is None
