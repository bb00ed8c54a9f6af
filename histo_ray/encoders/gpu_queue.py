"""Batches of several threads on one GPU: while one computes, the next one's tiles arrive."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

_torch: Any = torch


class _Lane(NamedTuple):
    """What all encoders of this process on one GPU share, so that one batch computes at a time."""

    copies: Any
    work: Any
    lock: threading.Lock


@cache
def _lane_of(device: torch.device) -> _Lane:
    return _Lane(_torch.cuda.Stream(device), _torch.cuda.Stream(device), threading.Lock())


class GpuQueue:
    """One encoder's batches on one GPU. Each thread has pinned memory."""

    def __init__(self, device: torch.device) -> None:
        """Begin once what was moved there before, as the weights, has arrived."""
        _torch.cuda.synchronize(device)
        self._device = device
        self._copies, self._work, self._lock = _lane_of(device)
        self._own = threading.local()
        self.device_s = 0.0
        """Seconds that the GPU has computed for it; copies that run beside do not count."""

    def run(
        self, pixels: npt.NDArray[np.uint8], compute: Callable[[torch.Tensor], torch.Tensor]
    ) -> npt.NDArray[np.float32]:
        """Copy tiles there, compute, copy the result back; waits for it without the GIL.

        Args:
            pixels: (B, height, width, 3).
            compute: From those, on the device, to (B, dim) float32 there.

        Returns:
            (B, dim).
        """
        staged = self._pinned("pixels", pixels.shape, torch.uint8)
        np.copyto(staged.numpy(), pixels)
        arrived, began, ended, back = (
            _torch.cuda.Event(enable_timing=timed, blocking=not timed)
            for timed in (False, True, True, False)
        )
        with _torch.cuda.stream(self._copies):
            tiles = staged.to(self._device, non_blocking=True)
            arrived.record(self._copies)
        with self._lock, _torch.cuda.stream(self._work):
            self._work.wait_event(arrived)
            tiles.record_stream(self._work)
            began.record(self._work)
            computed = compute(tiles)
            ended.record(self._work)
            vectors = self._pinned("vectors", tuple(computed.shape), torch.float32)
            vectors.copy_(computed, non_blocking=True)
            back.record(self._work)
        back.synchronize()
        with self._lock:
            self.device_s += began.elapsed_time(ended) / 1000
        copied: npt.NDArray[np.float32] = vectors.numpy().copy()
        return copied

    def _pinned(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """This thread's memory of that name, which the GPU copies from or to by itself."""
        found: torch.Tensor | None = getattr(self._own, name, None)
        if found is None or found.shape != shape:
            found = torch.empty(shape, dtype=dtype, pin_memory=True)
            setattr(self._own, name, found)
        return found
