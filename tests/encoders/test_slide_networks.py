"""Slide encoders of others: the table, networks with the published names, and what is refused."""

import json
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histo_ray.encoders.slide_protocol import TileBag
from histo_ray.encoders.slide_table import (
    SlideEntry,
    find_slide_entry,
    list_slide_entries,
    open_slide_entry,
)
from histo_ray.errors import ConfigError

COMMIT = "0123456789" * 4


def bag_of(dim: int, count: int = 9) -> TileBag:
    random = np.random.default_rng(1)
    coords = random.integers(0, [9000, 4000], (count, 2)).astype(np.int32)
    return TileBag(
        random.standard_normal((count, dim)).astype(np.float32), coords, (448.0, 431.0), 224, 0.5
    )


def entry_of(name: str) -> SlideEntry:
    found = find_slide_entry(name)
    assert found is not None
    return found


def draw(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator) / 9 for name, shape in shapes.items()}


FEATHER = {
    "model.patch_embed.0.weight": (512, 768), "model.patch_embed.0.bias": (512,),
    "model.global_attn.attention_a.0.weight": (384, 512),
    "model.global_attn.attention_a.0.bias": (384,),
    "model.global_attn.attention_b.0.weight": (384, 512),
    "model.global_attn.attention_b.0.bias": (384,),
    "model.global_attn.attention_c.weight": (1, 384), "model.global_attn.attention_c.bias": (1,),
    "model.classifier.weight": (108, 512), "model.classifier.bias": (108,),
}  # fmt: skip
CHIEF = {
    "attention_net.0.weight": (512, 768), "attention_net.0.bias": (512,),
    "attention_net.3.attention_a.0.weight": (256, 512),
    "attention_net.3.attention_a.0.bias": (256,),
    "attention_net.3.attention_b.0.weight": (256, 512),
    "attention_net.3.attention_b.0.bias": (256,),
    "attention_net.3.attention_c.weight": (1, 256), "attention_net.3.attention_c.bias": (1,),
    "classifiers.weight": (2, 512), "classifiers.bias": (2,),
}  # fmt: skip


@pytest.mark.parametrize("entry", list_slide_entries(), ids=lambda entry: entry.name)
def test_every_entry_states_its_contract_and_where_it_was_read(entry: SlideEntry) -> None:
    assert entry.tile_encoders
    assert entry.licence
    assert entry.method
    assert entry.about
    assert entry.sources
    assert all(url.startswith("https://") for url in entry.sources.values())
    stated = open_slide_entry(entry, None, ()).spec()
    assert stated.weights_sha256 is None  # not loaded yet
    assert stated.tile_encoders == entry.tile_encoders


def gated(weights: dict[str, torch.Tensor], prefix: str, hidden: torch.Tensor) -> torch.Tensor:
    """Attention by equation 9 of Ilse et al., written out."""
    a, b, c = (f"{prefix}attention_{part}" for part in "abc")
    content = torch.tanh(hidden @ weights[f"{a}.0.weight"].T + weights[f"{a}.0.bias"])
    gate = torch.sigmoid(hidden @ weights[f"{b}.0.weight"].T + weights[f"{b}.0.bias"])
    scores = (content * gate) @ weights[f"{c}.weight"].T + weights[f"{c}.bias"]
    return torch.exp(scores[:, 0]) / torch.exp(scores[:, 0]).sum()


def test_feather_is_the_attended_sum_of_projected_tiles(tmp_path: Path) -> None:
    weights, bag = draw(FEATHER), bag_of(768)
    save_file(weights, tmp_path / "w.safetensors")
    encoder = open_slide_entry(entry_of("feather"), str(tmp_path / "w.safetensors"), ())
    encoder.load("cpu", 1)
    w, b = weights["model.patch_embed.0.weight"], weights["model.patch_embed.0.bias"]
    hidden = torch.relu(torch.from_numpy(bag.vectors) @ w.T + b)
    plain = gated(weights, "model.global_attn.", hidden) @ hidden
    np.testing.assert_allclose(encoder.encode(bag), plain.numpy(), rtol=1e-4, atol=1e-5)
    spec = encoder.spec()
    assert spec.dim == 512
    assert spec.weights_sha256 is not None
    other = {name: value + 1 for name, value in weights.items()}
    save_file(other, tmp_path / "w.safetensors")
    again = open_slide_entry(entry_of("feather"), str(tmp_path / "w.safetensors"), ())
    again.load("cpu", 1)
    assert again.spec().weights_sha256 != spec.weights_sha256


def test_chief_is_the_attended_sum_of_the_tiles_themselves(tmp_path: Path) -> None:
    weights, bag = draw(CHIEF), bag_of(768)
    torch.save(weights, tmp_path / "CHIEF_pretraining.pth")
    encoder = open_slide_entry(entry_of("chief"), str(tmp_path / "CHIEF_pretraining.pth"), ())
    encoder.load("cpu", 1)
    tiles = torch.from_numpy(bag.vectors)
    w, b = weights["attention_net.0.weight"], weights["attention_net.0.bias"]
    attention = gated(weights, "attention_net.3.", torch.relu(tiles @ w.T + b))
    plain = (attention @ tiles).numpy()
    np.testing.assert_allclose(encoder.encode(bag), plain, rtol=1e-4, atol=1e-5)


def test_weights_are_loaded_whole_or_not_at_all(tmp_path: Path) -> None:
    weights = draw(FEATHER)
    del weights["model.global_attn.attention_c.bias"]
    save_file(weights, tmp_path / "w.safetensors")
    encoder = open_slide_entry(entry_of("feather"), str(tmp_path / "w.safetensors"), ())
    with pytest.raises(ConfigError, match=r"1 missing \(global_attn.attention_c.bias\).*\?file="):
        encoder.load("cpu", 1)
    with pytest.raises(RuntimeError, match="before it is loaded"):
        encoder.encode(bag_of(768))
    with pytest.raises(ConfigError, match=r"weights are in no repository.*chief\?file"):
        open_slide_entry(entry_of("chief"), None, ()).load("cpu", 1)


@pytest.mark.parametrize("name", ["titan", "prism"])
def test_code_of_a_repository_runs_at_a_full_commit_only(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.: its network is Python code.*--trust"):
        open_slide_entry(entry_of(name), None, ()).load("cpu", 1)
    with pytest.raises(ConfigError, match=r"'main' is no full commit"):
        open_slide_entry(entry_of(name), None, ("main",))
    assert open_slide_entry(entry_of(name), None, (COMMIT,)).spec().code_revision == COMMIT
    with pytest.raises(ConfigError, match=r"feather does not need that code"):
        open_slide_entry(entry_of("feather"), None, (COMMIT,))


@pytest.mark.parametrize("name", ["gigapath-slide", "cobra"])
def test_a_package_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=r"authors' package (gigapath|cobra), which is not inst"):
        open_slide_entry(entry_of(name), None, ()).load("cpu", 1)


CODE = '''
"""Stands in for the repository's own code, which is not here: a layer, the same call."""
import torch
from transformers import PretrainedConfig, PreTrainedModel

class OwnConfig(PretrainedConfig):
    model_type = "own_slides"

class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(768, 768)
        self.post_init()

    def encode_slide_from_patch_features(self, features, coords, side):
        assert coords.dtype == torch.int64 and coords.shape == (1, features.shape[1], 2)
        return self.layer(features).mean(1) * side
'''


@pytest.mark.slow
def test_titan_is_called_as_its_repository_says_at_the_trusted_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--MahmoodLab--TITAN" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    own = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    config: dict[str, Any] = {"model_type": "own_slides", "auto_map": own}
    (snapshot / "config.json").write_text(json.dumps(config))
    (snapshot / "own.py").write_text(CODE)
    weights = draw({"layer.weight": (768, 768), "layer.bias": (768,)})
    save_file(weights, snapshot / "model.safetensors")
    encoder = open_slide_entry(entry_of("titan"), None, (COMMIT,))
    encoder.load("cpu", 1)
    bag = bag_of(768)
    plain = torch.from_numpy(bag.vectors) @ weights["layer.weight"].T + weights["layer.bias"]
    expected = plain.mean(0).numpy() * round((448 + 431) / 2)
    np.testing.assert_allclose(encoder.encode(bag), expected, rtol=1e-3, atol=1e-3)
    assert (encoder.spec().code_revision, encoder.spec().precision) == (COMMIT, "float32")
    (snapshot / "model.safetensors").unlink()
    save_file({"layer.bias": weights["layer.bias"]}, snapshot / "model.safetensors")
    with pytest.raises(ConfigError, match=r"1 missing \(layer.weight\)"):
        open_slide_entry(entry_of("titan"), None, (COMMIT,)).load("cpu", 1)


STAND_IN = '''
"""Stands in for the authors' package, which is not installed here: a layer and the same calls."""
import torch

class Cobra(torch.nn.Module):
    def __init__(self, embed_dim, input_dims, num_heads, layers, dropout, att_dim, d_state):
        super().__init__()
        assert (embed_dim, num_heads, layers, att_dim, d_state) == (768, 4, 1, 256, 128)
        self.scores = torch.nn.Linear(512, 1)

    def forward(self, x):
        return torch.bmm(self.scores(x).softmax(1).transpose(1, 2), x).squeeze(1)
'''


def test_cobra_takes_the_weights_of_the_momentum_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "cobra" / "model"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "cobra.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    weights = draw({"scores.weight": (1, 512), "scores.bias": (1,)})
    named = {f"module.momentum_enc.{name}": value for name, value in weights.items()}
    online = {f"module.base_enc.{name}": value + 1 for name, value in weights.items()}
    torch.save({"state_dict": named | online}, tmp_path / "cobraII.pth.tar")
    encoder = open_slide_entry(entry_of("cobra"), str(tmp_path / "cobraII.pth.tar"), ())
    encoder.load("cpu", 1)
    bag = bag_of(512)
    tiles = torch.from_numpy(bag.vectors)
    attention = (tiles @ weights["scores.weight"].T + weights["scores.bias"]).softmax(0)[:, 0]
    np.testing.assert_allclose(encoder.encode(bag), (attention @ tiles).numpy(), atol=1e-5)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cobra"]:
        del sys.modules[name]
