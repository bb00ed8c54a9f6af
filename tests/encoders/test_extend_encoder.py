"""The recipe `docs/extend/encoder.md`, followed to the letter."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import histo_ray as hr
from histo_ray.cli import main
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError
from tests.extend_pages import PAGES, code_blocks

PAGE = "encoder.md"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The page's table, beside weights for it."""
    text, _ = code_blocks(PAGE, "toml")
    network, _ = build_network(resolve("random:resnet10t?seed=3"))
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(weights, str(tmp_path / "mine.safetensors"))
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    return tmp_path / "mine.toml"


def test_the_row_of_the_page_encodes_tiles(table: Path) -> None:
    encoder = load_encoder(resolve("mine", [str(table)]), device="cpu", threads=1)
    vectors = encoder.encode(np.full((2, 64, 64, 3), 200, np.uint8))
    assert vectors.shape == (2, encoder.dim) == (2, 512)
    assert np.isfinite(vectors).all()
    assert (encoder.spec.tile_px, encoder.spec.mpp) == (64, 0.5)


def test_the_program_lists_it(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--encoder-table", str(table)]) == 0
    assert re.search(r"^mine\b", capsys.readouterr().out, re.MULTILINE)


def test_weights_of_another_network_are_refused(table: Path) -> None:
    table.write_text(table.read_text().replace('"resnet10t"', '"resnet18"'), encoding="utf-8")
    with pytest.raises(ConfigError):
        load_encoder(resolve("mine", [str(table)]), device="cpu", threads=1)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's plugin beside its weights, in the working folder."""
    (source,) = code_blocks(PAGE)
    (tmp_path / "my_encoder.py").write_text(source, encoding="utf-8")
    weights = {
        "1.weight": torch.ones(12, 3, 5, 5) / 75, "1.bias": torch.zeros(12),
        "3.weight": torch.ones(24, 12, 3, 3) / 108, "3.bias": torch.arange(24.0),
    }  # fmt: skip
    safetensors.torch.save_file(weights, str(tmp_path / "my_weights.safetensors"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
    yield tmp_path
    sys.modules.pop("my_encoder", None)


def test_the_plugin_of_the_page_encodes_tiles(module: Path) -> None:
    encoder = hr.load_encoder("my_encoder:make_encoder", device="cpu", threads=1)
    pixels = np.full((2, 96, 96, 3), 51, np.uint8)
    np.testing.assert_allclose(encoder.encode(pixels), [np.arange(24) + 0.2] * 2, atol=1e-5)
    assert encoder.spec.preprocessing == "halved by the mean of 2 x 2 pixels, 0..1"


def test_every_request_of_the_page_is_understood(module: Path) -> None:
    text = (PAGES / PAGE).read_text(encoding="utf-8")
    requests = re.findall(r"`--encoder \"?([^`\"\s]+)\"?`", text)
    assert len(requests) == 5
    for request in requests:
        if request != "quarters96":  # of a package
            assert resolve(request).source in ("timm", "hub", "random", "plugin")
