"""Describe devices and model hub as this machine sees them; for `doctor`."""

import os
import time
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from huggingface_hub import constants

from histo_ray.encoders.hub import is_reachable
from histo_ray.encoders.nvidia_driver import find_driver
from histo_ray.encoders.probe_gpus import (
    VISIBLE,
    assess_cards,
    explain_idle_driver,
    inspect_cards,
)
from histo_ray.encoders.torch_encoder import TorchEncoder

TRIED_TILES = 128
"""The usual batch on a GPU."""
TRIED_TILES_CPU = 16
"""Tiles of a measured batch on CPU."""


class DeviceCheck(NamedTuple):
    """What encoders can run on here, and whether that is as it should be."""

    found: str
    state: Literal["ok", "note", "bad"]
    remedy: str


def check_devices() -> DeviceCheck:
    """Look for GPUs, compute on each, and compare what driver and torch say."""
    version, driver = f"torch {torch.__version__}", find_driver()
    if torch.cuda.is_available():
        cards = inspect_cards()
        state, said, remedy = assess_cards(cards, driver)
        served = f", driver {driver.version}" if driver and driver.version else ""
        names = "; ".join(card.describe() for card in cards)
        told = f"; {said}" if said else ""
        return DeviceCheck(
            f"{names} ({version}, CUDA {torch.version.cuda}{served}){told}", state, remedy
        )
    problem, remedy = explain_idle_driver(driver)
    if problem and os.environ.get(VISIBLE, "all").strip() not in ("", "-1"):  # hidden on purpose
        return DeviceCheck(f"{problem} ({version})", "bad", remedy)
    engines = version
    if find_spec("openvino") is not None:
        engines += f", OpenVINO {distribution_version('openvino')}"
    told = f"none, encoders run on {os.cpu_count()} CPU cores ({engines})"
    faster = _FASTER if computes_bfloat16() else ""
    return DeviceCheck(told + faster, "note", "large encoders take seconds a tile on a CPU")


def try_batch(encoder: TorchEncoder) -> str:
    """Encode a batch of black tiles on the GPU: does it fit beside the weights, and what is left.

    Raises:
        DeviceError: The GPU failed.
        DeviceMemoryError: Its memory does not suffice.
    """
    side = encoder.spec.input_px or 224
    encoder.encode(np.zeros((TRIED_TILES, side, side, 3), np.uint8))
    free, total = torch.cuda.mem_get_info()
    left = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB of GPU memory left"
    return f"a batch of {TRIED_TILES} tiles fits, {left}"


def measure_rate(encoder: TorchEncoder, seconds: float) -> float:
    """Measure how many tiles per second one process encodes; tiles are in memory already.

    Args:
        encoder: Loaded.
        seconds: Time to measure for, after a first batch that is not counted.

    Returns:
        Tiles per second, above 0; at least one batch is timed.

    Raises:
        DeviceError: The GPU failed.
        DeviceMemoryError: Its memory does not suffice.
    """
    count = TRIED_TILES if encoder.device.startswith("cuda") else TRIED_TILES_CPU
    side = encoder.spec.input_px or 224
    tiles = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    encoder.encode(tiles)  # warms up
    began, done = time.monotonic(), 0
    while not done or time.monotonic() - began < seconds:
        encoder.encode(tiles)
        done += count
    return done / (time.monotonic() - began)


_FASTER = "; this CPU has AMX: --precision bfloat16 is several times as fast, to coarser vectors"


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 by itself (AMX), as far as torch knows."""
    tell: Any = getattr(torch.cpu, "get_capabilities", dict)  # of newer torch
    return bool(tell().get("amx_bf16"))


def describe_hub() -> tuple[str, bool]:
    """Whether the model hub can be reached, and what the local cache holds."""
    cache = Path(constants.HF_HUB_CACHE)
    held = sorted(path.name for path in cache.glob("models--*")) if cache.is_dir() else []
    reachable = is_reachable()
    state = "the model hub answers" if reachable else "the model hub cannot be reached"
    return f"{state}; {len(held)} repositories in {cache}", reachable
