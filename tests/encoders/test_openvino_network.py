"""The optional engine. Run where OpenVINO is installed, as `make setup` does."""

import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from histo_ray.config import ExtractConfig, parse_settings
from histo_ray.encoders import openvino_network
from histo_ray.encoders.base import encode_fixed
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from histo_ray.errors import ConfigError

pytest.importorskip("openvino", reason="the extra histo-ray[openvino] is not installed")

Load = Callable[[str], TorchEncoder]
MakeTiles = Callable[..., npt.NDArray[np.uint8]]
Cosine = Callable[..., npt.NDArray[np.float64]]

CONV = "random:resnet10t?px=64"
VIT = "random:vit_tiny_patch16_224?px=64&img_size=64&reg_tokens=4&pool=cls+mean"
NETWORKS = [CONV, "random:mobilenetv2_100?px=64", VIT, "random:convnext_atto?px=64&pool=avg"]


def load_compiled(request: str, **settings: object) -> TorchEncoder:
    return load_encoder(resolve(request), threads=2, engine="openvino", **settings)  # type: ignore[arg-type]


@cache
def compiled_once(request: str) -> TorchEncoder:
    """The same for all tests: compiling takes seconds."""
    return load_compiled(request)


@pytest.mark.parametrize("request_text", NETWORKS)
def test_vectors_are_those_of_torch(
    load: Load, tiles: MakeTiles, cosine: Cosine, request_text: str
) -> None:
    ours, compiled = load(request_text), compiled_once(request_text)
    pixels = tiles(5, ours.spec.input_px)
    vectors, expected = compiled.encode(pixels), ours.encode(pixels)
    assert vectors.dtype == np.float32
    assert compiled.device.startswith("cpu, OpenVINO 20")
    assert (compiled.weights_sha256, compiled.dim) == (ours.weights_sha256, ours.dim)
    assert cosine(vectors, expected).min() > 0.99999
    np.testing.assert_allclose(vectors, expected, atol=5e-4 * np.abs(expected).max())


@pytest.mark.parametrize("request_text", NETWORKS[:3])
def test_a_vector_depends_on_its_tile_alone(tiles: MakeTiles, request_text: str) -> None:
    encoder = compiled_once(request_text)
    pixels = tiles(45, 64)
    vectors = encoder.encode(pixels)
    order = np.random.default_rng(3).permutation(45)
    assert np.array_equal(encoder.encode(pixels[order]), vectors[order])
    assert np.array_equal(encode_fixed(encoder, pixels[7:9], 8), vectors[7:9])
    assert np.array_equal(load_compiled(request_text).encode(pixels), vectors)


def test_bfloat16_stays_close_or_is_refused_where_the_cpu_has_none(
    load: Load, tiles: MakeTiles, cosine: Cosine
) -> None:
    coarse = None
    with suppress(ConfigError):
        coarse = load_compiled(CONV, precision="bfloat16")
    if coarse is None:
        with pytest.raises(ConfigError, match=r"^--engine openvino: .*use .*--precision float32$"):
            load_compiled(CONV, precision="bfloat16")
        return
    pixels = tiles(3, 64)
    assert coarse.precision == "bfloat16"
    vectors, exact = coarse.encode(pixels), load(CONV).encode(pixels)
    assert cosine(vectors, exact).min() > 0.99
    assert not np.array_equal(vectors, exact)


def test_tiles_of_another_size_are_resized(load: Load, tiles: MakeTiles, cosine: Cosine) -> None:
    pixels = tiles(3, 128)
    assert cosine(compiled_once(CONV).encode(pixels), load(CONV).encode(pixels)).min() > 0.99999


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"precision": "float16"}, "in float32 or bfloat16, not in float16"),
        ({"device": "cuda"}, "runs on CPU"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_compiled(CONV, **settings)
    assert "\n" not in str(caught.value)


class Odd(nn.Module):
    """Takes a step that OpenVINO does not know."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        odd: torch.Tensor = torch.special.bessel_j0(values)
        return odd.mean((2, 3))


def test_a_network_that_it_does_not_know_is_told_in_one_line() -> None:
    before = logging.getLogger().level
    says = r"cannot run this network in float32 \(.*OpConversionFailure.*use --engine torch"
    with pytest.raises(ConfigError, match=says) as caught:
        openvino_network.OpenVinoNetwork(Odd().eval(), (2, 3, 8, 8), "float32", 1)
    assert "\n" not in str(caught.value)
    assert logging.getLogger().level == before  # else nobody would hear a warning any more


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_network, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed.*histo-ray\[openvino\].*--engine torch"):
        load_compiled(CONV)


def test_settings_refuse_it_on_a_gpu() -> None:
    values = {"manifest": "m", "store": "s", "encoder": ["e"], "mpp": 0.5, "tile_px": 224}
    with pytest.raises(ConfigError, match="runs on CPU"):
        parse_settings(ExtractConfig, values | {"engine": "openvino", "device": "cuda"}, "flags")


def test_nothing_is_reported_to_its_makers() -> None:
    code = (
        "import sys; from histo_ray.encoders.openvino_network import openvino_version as v; v();"
        "from openvino.tools.ovc import convert_impl;"
        "assert convert_impl.tm.__name__.endswith('telemetry_stub'), convert_impl.tm;"
        "assert not [m for m in sys.modules if m.startswith('openvino_telemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
