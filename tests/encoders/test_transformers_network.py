"""Networks of transformers: as the library computes them, with all weights or none, and no code
that nobody trusts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.remote_code import trust_code
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from histo_ray.encoders.transformers_network import build_transformers
from histo_ray.errors import ConfigError

REVISION = "5c" * 20
TABLE = """
[small]
library = "transformers"
hub = "lab/small"
dim = {dim}
input_px = 28
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
interpolation = "bicubic"
pool = "{pool}"
licence = "mit"
remote_code = {code}
"""
CODE = """
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel

Path({mark!r}).write_text("ran")


class OwnConfig(PretrainedConfig):
    model_type = "own_small"


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(3, 5)
        self.post_init()

    def forward(self, values):
        return self.layer(values.mean((2, 3)))
"""
Resolve = Callable[..., EncoderSpec]


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository in an empty hub cache, at one commit."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--lab--small"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION, encoding="utf-8")
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.fixture
def small(tmp_path: Path) -> Resolve:
    """The spec of a table's entry for that repository."""

    def make(pool: str = "cls+mean", dim: int = 64, code: bool = False) -> EncoderSpec:
        text = TABLE.format(pool=pool, dim=dim, code=str(code).lower())
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return resolve("small", [str(tmp_path / "mine.toml")])

    return make


def lay_dino(snapshot: Path) -> Any:
    """A small DINOv2 with drawn weights, as its authors would publish it."""
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=28)
    network: Any = Dinov2Model(config)
    network.eval()
    generator = torch.Generator().manual_seed(3)
    for value in network.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    network.config.save_pretrained(snapshot)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    return network


def load(spec: EncoderSpec) -> TorchEncoder:
    return load_encoder(spec, device="cpu", threads=1)


@pytest.mark.parametrize(("pool", "dim"), [("token", 32), ("cls+mean", 64), ("timm", 32)])
def test_vectors_are_those_of_the_library(
    snapshot: Path, small: Resolve, pool: str, dim: int
) -> None:
    network = lay_dino(snapshot)
    encoder = load(small(pool, dim))
    pixels = np.random.default_rng(0).integers(0, 255, (3, 28, 28, 3)).astype(np.uint8)
    values = torch.from_numpy((pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.5) / 0.5)
    with torch.inference_mode():
        found = network(pixel_values=values)
    tokens = found.last_hidden_state
    expected = {
        "token": tokens[:, 0],
        "cls+mean": torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1),
        "timm": found.pooler_output,
    }[pool]
    np.testing.assert_allclose(encoder.encode(pixels), expected.numpy(), atol=2e-5)
    assert encoder.spec.architecture == "transformers.Dinov2Model"
    assert encoder.dim == dim


def test_missing_weights_are_never_left_at_random(snapshot: Path, small: Resolve) -> None:
    weights = lay_dino(snapshot).state_dict()
    del weights["encoder.layer.1.norm1.weight"]
    save_file(weights, snapshot / "model.safetensors")
    with pytest.raises(ConfigError, match=r"1 missing \(encoder\.layer\.1\.norm1\.weight\)"):
        load(small())


def test_weights_are_not_drawn_and_what_no_vector_needs_is_zero_where_it_is_missing(
    snapshot: Path, small: Resolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = lay_dino(snapshot)
    kept = {k: v for k, v in network.state_dict().items() if "mask_token" not in k}
    save_file(kept, snapshot / "model.safetensors")

    def refuse(*values: Any, **settings: Any) -> None:
        raise AssertionError("drawn, though a file has the weights")

    for name in ("normal_", "trunc_normal_", "kaiming_uniform_"):
        monkeypatch.setattr(torch.nn.init, name, refuse)
    built, _ = build_transformers(small())
    found = built.state_dict()
    assert not found["network.embeddings.mask_token"].any()
    for key, value in kept.items():
        assert torch.equal(found[f"network.{key}"], value), key


def test_weights_of_another_shape_are_refused(snapshot: Path, small: Resolve) -> None:
    weights = lay_dino(snapshot).state_dict()
    weights["layernorm.bias"] = torch.zeros(31)
    save_file(weights, snapshot / "model.safetensors")
    with pytest.raises(ConfigError, match=r"1 of another shape \(layernorm\.bias\)"):
        load(small())


def lay_code(snapshot: Path, mark: Path) -> None:
    """A network that is code of its repository, and says when it runs."""
    (snapshot / "own_code.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    config = {
        "model_type": "own_small",
        "auto_map": {"AutoConfig": "own_code.OwnConfig", "AutoModel": "own_code.OwnModel"},
    }
    (snapshot / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {"layer.weight": torch.ones(5, 3), "layer.bias": torch.arange(5.0)}
    save_file(weights, snapshot / "model.safetensors")


def test_code_of_a_repository_runs_only_at_a_trusted_commit(
    snapshot: Path, small: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    mark = tmp_path / "mark"
    lay_code(snapshot, mark)
    spec = small("timm", 5, code=True)
    for untrusted in (spec, small("timm", 5).model_copy(update={"remote_code": True})):
        with pytest.raises(ConfigError, match=r"code of the repository lab/small.*COMMIT"):
            load(untrusted)
    with pytest.raises(ConfigError, match="not in the local cache"):
        load(trust_code([spec], ["ab" * 20])[0])
    assert not mark.exists()
    (pinned,) = trust_code([spec], [REVISION])
    vectors = load(pinned).encode(np.zeros((1, 28, 28, 3), np.uint8))
    assert mark.read_text() == "ran"
    np.testing.assert_allclose(vectors[0], np.arange(5) - 3, atol=1e-6)
    assert load(pinned).spec.code_revision == REVISION


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        ([], "name the commit that you trust: --trust-remote-code COMMIT"),
        (["main"], "'main' is no full commit"),
        (["5C" * 20], "is no full commit"),
        (["other=" + REVISION], "no encoder of this run needs that code"),
    ],
)
def test_trust_is_a_full_commit_of_an_encoder_that_needs_it(
    small: Resolve, trusted: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        trust_code([small(code=True)], trusted)


def test_one_commit_for_two_encoders_must_name_its_own(small: Resolve) -> None:
    one = small(code=True)
    two = one.model_copy(update={"name": "other"})
    with pytest.raises(ConfigError, match="say whose commit it is"):
        trust_code([one, two], [REVISION])
    pinned = trust_code([one, two, resolve("uni")], [f"small={REVISION}", f"other={'0a' * 20}"])
    assert [spec.code_revision for spec in pinned] == [REVISION, "0a" * 20, None]


def test_trust_where_no_encoder_needs_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="no encoder of this run"):
        trust_code([resolve("uni")], [REVISION])
