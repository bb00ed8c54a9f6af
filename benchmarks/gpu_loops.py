"""Loops that encode on one card, and how busy it was; `benchmarks.gpu` puts them side by side."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # documented there
from torch.profiler import ProfilerActivity, profile

from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE, Device, Precision
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.torch_encoder import load_encoder

WARM_UP = 10
"""Batches before anything is timed, as timm's script has them."""
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LoopSettings:
    """What is encoded, and how long."""

    request: str
    precision: Precision
    device: Device
    batch: int
    """Tiles a batch."""
    seconds: float
    """Length of one timed turn."""
    warm_up: int = WARM_UP


@dataclass(frozen=True)
class Loop:
    """A loop that is ready to run."""

    encode: Callable[[int], None]
    """Encodes so many batches, and waits for the last."""
    device_s: Callable[[], float] = lambda: 0.0
    """Seconds from first to last kernel of all its batches so far, if it keeps them."""


@dataclass(frozen=True)
class Busy:
    """How much of the time of some batches the card computed."""

    kernels: float
    """Share of the time in which at least one kernel ran: gaps between launches are not in it."""
    of_events: float | None
    """Kernels' share of the time between the events around each batch, which runs report as busy;
    None where the loop keeps none."""


@contextmanager
def load_ours(settings: LoopSettings) -> Iterator[Loop]:
    """This library's encoder as a run drives it: uint8 tiles in host memory to vectors there."""
    spec = resolve(settings.request)
    encoder = load_encoder(spec, device=settings.device, precision=settings.precision)
    side = encoder.spec.input_px or 224
    shape = (settings.batch, side, side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with ThreadPoolExecutor(GPU_BATCHES_AT_ONCE) as callers:

        def encode(batches: int) -> None:
            for vectors in callers.map(encoder.encode, [pixels] * batches):
                vectors.sum()

        yield Loop(encode, lambda: encoder.device_s)


@contextmanager
def load_timm(settings: LoopSettings, network: torch.nn.Module, *, cast: bool) -> Iterator[Loop]:
    """The loop of timm's benchmark.py with --channels-last: one batch that lies on the card.

    Its script waits for the card after each batch, which this one does not: that would slow it.

    Args:
        settings: What is encoded.
        network: On CPU; left as it is.
        cast: The network itself in half precision (--precision) in place of autocast (--amp).
    """
    dtype = DTYPES[settings.precision]
    kind = dtype if cast else torch.float32
    ours: Any = deepcopy(network).to(settings.device, kind)
    ours = ours.to(memory_format=torch.channels_last)
    side = resolve(settings.request).input_px or 224
    batch = torch.randn(settings.batch, 3, side, side, device=settings.device, dtype=kind)
    batch = batch.contiguous(memory_format=torch.channels_last)

    def encode(batches: int) -> None:
        with torch.inference_mode(), torch.autocast(settings.device, dtype, enabled=not cast):
            for _ in range(batches):
                ours(batch)
        if settings.device == "cuda":
            torch.cuda.synchronize()

    cudnn: Any = torch.backends.cudnn
    before, cudnn.benchmark = cudnn.benchmark, True  # as its script sets it
    try:
        yield Loop(encode)
    finally:
        cudnn.benchmark = before


def build_bare(request: str) -> torch.nn.Module:
    """The network alone, on CPU."""
    return build_network(resolve(request))[0]


def measure_turn(loop: Loop, settings: LoopSettings) -> float:
    """Images/s over about `seconds`, after warming up."""
    loop.encode(settings.warm_up)
    began = time.perf_counter()
    loop.encode(1)
    batches = max(1, round(settings.seconds / max(1e-6, time.perf_counter() - began)))
    began = time.perf_counter()
    loop.encode(batches)
    return settings.batch * batches / (time.perf_counter() - began)


def measure_busy(loop: Loop, settings: LoopSettings, batches: int) -> Busy:
    """Have torch's profiler note each kernel of some batches."""
    on_card = settings.device == "cuda"
    activity = ProfilerActivity.CUDA if on_card else ProfilerActivity.CPU
    kind = DeviceType.CUDA if on_card else DeviceType.CPU
    with profile(activities=[activity]):  # its own start-up takes seconds
        loop.encode(1)
    device_s = loop.device_s()
    with profile(activities=[activity]) as noted:
        began = time.perf_counter()
        loop.encode(batches)
        took = time.perf_counter() - began
    between = loop.device_s() - device_s
    events: Any = noted.events()
    computed = covered_s(
        (event.time_range.start / 1e6, event.time_range.end / 1e6)
        for event in events
        if event.device_type == kind and not event.name.startswith("Mem")  # Memcpy, Memset
    )
    return Busy(computed / took, computed / between if between else None)


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that lie in at least one span of (start, end). Pure."""
    total, until = 0.0, -float("inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def free_memory(device: Device) -> float:
    """Give back what the loop before held; the most it held on the card, in GiB."""
    gc.collect()
    if device != "cuda":
        return 0.0
    most: float = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return most
