"""Entries of the table with random weights: each is built whole, and encodes tiles.

They take up to 5 GB each (two or three times that where a repository is laid first), so one is
built at a time; `-k NAME` runs one alone. Left out are networks that are code of their repository.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
)

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder

Tiles = npt.NDArray[np.uint8]
MakeTiles = Callable[..., Tiles]
BUILT_BY_TIMM = [
    spec.name
    for spec in list_encoders()
    if spec.library == "timm" and not spec.architecture.startswith("hf-hub:")
]
REVISION = "7e" * 20
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(pixels: Tiles, spec: EncoderSpec) -> Tiles:
    """Tiles as the entry's authors resize and crop them, by Pillow."""
    side, seen = pixels.shape[1], spec.input_px or 0
    edge = spec.resize_px or seen
    mode = FILTERS[spec.interpolation or "bicubic"]
    resized = [Image.fromarray(tile).resize((edge, edge), mode) for tile in pixels]
    images = pixels if side == edge else np.stack([np.asarray(image) for image in resized])
    start = (edge - seen) // 2
    return images[:, start : start + seen, start : start + seen]


def check_entry(entry: EncoderSpec, encoder: TorchEncoder, tiles: MakeTiles) -> None:
    """Assert that an encoder gives what its entry states, of tiles as its authors prepare them."""
    assert encoder.dim == entry.dim
    px = entry.tile_px[-1] if isinstance(entry.tile_px, tuple) else entry.tile_px
    pixels = tiles(2, px or 256)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (2, entry.dim)
    assert np.isfinite(vectors).all()
    assert not np.array_equal(vectors[0], vectors[1])
    prepared = prepare(pixels, encoder.spec)
    assert prepared.shape[1] == entry.input_px
    apart = np.linalg.norm(vectors[0] - vectors[1])
    assert np.linalg.norm(vectors - encoder.encode(prepared), axis=1).max() < 0.1 * apart


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", BUILT_BY_TIMM)
def test_an_entry_of_random_weights_encodes_tiles_as_its_authors_prepare_them(
    tiles: MakeTiles, name: str
) -> None:
    entry = resolve(name)
    random = {"source": "random", "seed": 0, "hub": None, "weights_file": None}
    encoder = load_encoder(entry.model_copy(update=random), device="cpu", threads=1)
    check_entry(entry, encoder, tiles)


def make_dino(width: int, layers: int, heads: int, patch: int, **more: Any) -> tuple[Any, str]:
    """A DINOv2 of transformers, and its configuration."""
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        patch_size=patch,
        image_size=224,
        **more,
    )
    return Dinov2Model(config), config.to_json_string()


def make_clip() -> tuple[Any, str]:
    """CLIP's ViT-B/32, which sees pictures, and its configuration."""
    config = CLIPVisionConfig()
    return CLIPVisionModelWithProjection(config), config.to_json_string()


def make_timm(architecture: str, swiglu: bool = False, **numbers: Any) -> tuple[Any, str]:
    """A network of timm, and what a repository's configuration says of it.

    Configurations hold no layers: those are the entry's.
    """
    layers: dict[str, Any] = (
        {"mlp_layer": timm.layers.__dict__["SwiGLUPacked"], "act_layer": nn.SiLU} if swiglu else {}
    )
    network = timm.create_model(architecture, pretrained=False, num_classes=0, **numbers, **layers)
    prepared = {
        "input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 0,
    }
    told = {"architecture": architecture, "num_classes": 0, "model_args": numbers}
    return network, json.dumps(told | {"pretrained_cfg": prepared})


IN_REPOSITORIES: dict[str, Callable[[], tuple[Any, str]]] = {
    # sizes as the model cards state them
    "phikon-v2": lambda: make_dino(1024, 24, 16, 16),  # ViT-L/16
    "midnight": lambda: make_dino(1536, 40, 24, 14, use_swiglu_ffn=True),  # ViT-g/14
    "plip": make_clip,
    "h0-mini": lambda: make_timm(
        "vit_base_patch14_reg4_dinov2", swiglu=True, img_size=224, mlp_ratio=5.33334
    ),
    "prost40m": lambda: make_timm("vit_small_patch14_dinov2", img_size=224),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", IN_REPOSITORIES)
def test_an_entry_is_built_as_the_repository_says_that_lies_in_the_cache(
    tiles: MakeTiles, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of a download but the download: configuration, weights, preparation, vector."""
    entry = resolve(name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / f"models--{str(entry.hub).replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION, encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network, config = IN_REPOSITORIES[name]()
    (snapshot / "config.json").write_text(config, encoding="utf-8")
    if entry.weights_file is None:
        save_file(network.state_dict(), snapshot / "model.safetensors")
    else:
        torch.save(network.state_dict(), snapshot / entry.weights_file)
    del network
    encoder = load_encoder(entry, device="cpu", threads=1)
    check_entry(entry, encoder, tiles)
