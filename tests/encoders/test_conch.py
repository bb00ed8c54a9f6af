"""CONCH's towers and MUSK as plugins of ours, with random weights of their layout."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from torch.nn import functional

from histo_ray.encoders import conch_network, musk_network
from histo_ray.encoders.conch import CONCH, CONCH_V15, ConchEncoder, Tower
from histo_ray.encoders.conch_network import ConchTower, load_tower
from histo_ray.encoders.load import load_encoder
from histo_ray.encoders.musk import MuskEncoder
from histo_ray.encoders.plugins import OURS, list_plugin_modules
from histo_ray.encoders.registry import resolve
from histo_ray.errors import ConfigError

MakeTiles = Callable[..., npt.NDArray[np.uint8]]
Weights = dict[str, torch.Tensor]
SMALL = {"trunk": "vit_tiny_patch16_224", "input_px": 64, "dim": 48}
TOWERS = [replace(CONCH, **SMALL), replace(CONCH_V15, **SMALL)]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def draw(tower: Tower, grid: int = 4) -> Weights:
    """Random weights under published names, with others beside them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = {k: torch.randn_like(v) / 8 for k, v in ConchTower(tower).state_dict().items()}
        weights["trunk.pos_embed"] = torch.randn(1, 1 + grid**2, 192)
    text = {"text.positional_embedding": torch.zeros(3)} if tower.prefix else {}
    return {f"{tower.prefix}{name}": value for name, value in weights.items()} | text


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Weights], None]:
    """Puts weights where the hub's would be."""

    def put(weights: Weights) -> None:
        path = tmp_path / "pytorch_model.bin"
        torch.save(weights, path)
        monkeypatch.setattr(conch_network, "fetch_file", lambda *_: path)

    return put


def reference(tower: Tower, weights: Weights, values: torch.Tensor) -> torch.Tensor:
    """The same by timm's trunk and the formula of attention, head by head."""
    mine = {k.removeprefix(tower.prefix): v for k, v in weights.items()}
    scale: dict[str, Any] = {}
    if tower.init_values is not None:
        scale["init_values"] = tower.init_values
    trunk: Any = timm.create_model(tower.trunk, num_classes=0, img_size=64, **scale).eval()
    trunk.load_state_dict({k[6:]: v for k, v in mine.items() if k.startswith("trunk.")})
    pool = {k[19:]: v for k, v in mine.items() if k.startswith("attn_pool_contrast.")}
    tokens = functional.layer_norm(
        trunk.forward_features(values), (192,), pool["ln_k.weight"], pool["ln_k.bias"]
    )
    asked = functional.layer_norm(pool["query"], (48,), pool["ln_q.weight"], pool["ln_q.bias"])
    if tower.pooler == "attention":
        bias = pool["attn.in_proj_bias"].chunk(3)
        q = asked @ pool["attn.q_proj_weight"].T + bias[0]
        k = tokens @ pool["attn.k_proj_weight"].T + bias[1]
        v = tokens @ pool["attn.v_proj_weight"].T + bias[2]
    else:
        q = asked @ pool["to_q.weight"].T
        k, v = (tokens @ pool["to_kv.weight"].T).chunk(2, -1)
    heads = []
    for at in range(8):
        own = slice(6 * at, 6 * at + 6)
        shares = torch.softmax(q[:, own] @ k[..., own].transpose(1, 2) / 6**0.5, -1)
        heads.append(shares @ v[..., own])
    found = torch.cat(heads, -1)[:, 0]
    if tower.pooler == "attention":
        found = found @ pool["attn.out_proj.weight"].T + pool["attn.out_proj.bias"]
    else:
        found = found @ pool["to_out.weight"].T
    return functional.layer_norm(found, (48,), mine["ln_contrast.weight"], mine["ln_contrast.bias"])


@pytest.mark.parametrize("tower", TOWERS, ids=lambda tower: tower.name)
def test_vectors_are_those_of_the_formula(
    tower: Tower, publish: Callable[[Weights], None], tiles: MakeTiles
) -> None:
    weights = draw(tower)
    publish(weights)
    encoder = ConchEncoder(tower)
    assert encoder.spec().weights_sha256 is None
    encoder.load("cpu", 1)
    pixels = tiles(3, 64)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (tower.mean, tower.std))
    values = (torch.tensor(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        expected = reference(tower, weights, values)
    np.testing.assert_allclose(encoder.encode(pixels), expected, rtol=1e-3, atol=1e-4)
    assert len(encoder.spec().weights_sha256 or "") == 64
    larger = encoder.encode(tiles(3, 96))
    assert larger.shape == (3, 48)


def test_a_smaller_position_embedding_is_enlarged_as_dino_does(
    publish: Callable[[Weights], None],
) -> None:
    tower = TOWERS[1]
    weights = draw(tower, grid=2)
    publish(weights)
    found = load_tower(tower, "cpu", 1).network.trunk.pos_embed
    old = weights["trunk.pos_embed"]
    square = old[:, 1:].reshape(1, 2, 2, 192).permute(0, 3, 1, 2)
    larger = functional.interpolate(square, scale_factor=(2.05, 2.05), mode="bicubic")
    torch.testing.assert_close(found[:, :1], old[:, :1])
    torch.testing.assert_close(found[:, 1:], larger.permute(0, 2, 3, 1).reshape(1, 16, 192))


def test_weights_that_do_not_fit_are_refused(publish: Callable[[Weights], None]) -> None:
    tower = TOWERS[0]
    weights = draw(tower)
    del weights["visual.attn_pool_contrast.query"]
    publish(weights)
    with pytest.raises(ConfigError, match=r"'conch': .*1 weights are missing.*_contrast\.query"):
        load_tower(tower, "cpu", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("tower", "dim"), [(CONCH, 512), (CONCH_V15, 768)])
def test_the_published_sizes_are_built(tower: Tower, dim: int) -> None:
    with torch.device("meta"):
        network = ConchTower(tower).eval()
        assert network(torch.empty(2, 3, 448, 448)).shape == (2, dim)
        positions = network.trunk.pos_embed.shape
    assert positions == (1, 1 + 28 * 28, network.trunk.num_features)


@pytest.mark.parametrize(
    ("name", "dim", "px"), [("conch", 512, 448), ("conch-v1.5", 768, 448), ("musk", 1024, 384)]
)
def test_they_are_known_by_name_with_the_source_of_each_fact(name: str, dim: int, px: int) -> None:
    spec = resolve(name)
    assert (spec.name, spec.dim, spec.input_px, spec.gated) == (name, dim, px, True)
    assert spec.licence == "cc-by-nc-nd-4.0"
    assert "nothing is cropped" in spec.preprocessing
    assert spec.plugin == OURS[name]
    assert {"network, dim", "tile px"} <= {key[:12].rstrip(",") for key in spec.sources} | {
        key[:7] for key in spec.sources
    }
    assert list_plugin_modules([spec]) == []  # every node has it


def test_musk_needs_its_authors_package() -> None:
    with pytest.raises(ConfigError, match=r"encoder plugin 'musk'.*needs the module 'musk'"):
        load_encoder(resolve("musk"), device="cpu", threads=1)


def test_musk_is_asked_for_the_class_token_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiles: MakeTiles
) -> None:
    """A package of the same interface stands for the authors', which is not at hand."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(3, 1024))

        def forward(self, *, image: torch.Tensor, **options: bool) -> tuple[torch.Tensor, None]:
            assert options == {"with_head": False, "out_norm": False, "ms_aug": False}
            assert image.shape == (2, 3, 384, 384)
            return image.mean((2, 3)) @ self.weight, None

    weights = {"weight": torch.arange(3 * 1024.0).reshape(3, 1024) / 1024}
    torch.save(weights, tmp_path / "w.bin")
    monkeypatch.setitem(sys.modules, "musk", ModuleType("musk"))
    monkeypatch.setitem(sys.modules, "musk.modeling", ModuleType("musk.modeling"))
    monkeypatch.setattr(musk_network._timm, "create_model", lambda name: Network())
    monkeypatch.setattr(musk_network, "fetch_weights", lambda *_: tmp_path / "w.bin")
    encoder = MuskEncoder()
    encoder.load("cpu", 1)
    pixels = tiles(2, 384)
    means = (pixels / 255 - 0.5).mean((1, 2)) / 0.5
    np.testing.assert_allclose(encoder.encode(pixels), means @ weights["weight"].numpy(), atol=1e-3)
    assert encoder.spec().weights_sha256
