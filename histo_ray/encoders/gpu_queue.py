"""Batches of several threads on one GPU: while one computes, the tiles of others arrive.

A batch takes three steps: its tiles are written into pinned memory (`stage`), copied to the card in
a stream for copies, and computed in a stream for work by each encoder of the process (`run`).
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.encoders.base import GPU_BATCHES_AT_ONCE

Pixels = npt.NDArray[np.uint8]
_torch: Any = torch


class GpuCard(Protocol):
    """What the queue asks of a GPU. Tests put one in its place that logs and delays."""

    def stream(self) -> Any:
        """A stream: what is launched in one is done in order."""

    def event(self, timed: bool) -> Any:
        """An event, to be recorded in a stream and waited for; a timed one tells when it was."""

    def launch_in(self, stream: Any) -> AbstractContextManager[object]:
        """What is launched within goes into that stream."""

    def pin(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Host memory that the card copies from and to by itself, while Python goes on."""

    def upload(self, pinned: torch.Tensor) -> torch.Tensor:
        """Launch a copy to the card."""

    def download(self, computed: torch.Tensor, pinned: torch.Tensor) -> None:
        """Launch a copy from the card."""

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        """Keep the memory of `tensor` until what `stream` has been given so far is done."""

    def synchronize(self) -> None:
        """Wait until everything launched is done."""


class CudaCard:
    """A GPU, with torch's own means."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def stream(self) -> Any:
        """A stream on it."""
        return _torch.cuda.Stream(self._device)

    def event(self, timed: bool) -> Any:
        """An event; waiting for one that is not timed leaves the core to others."""
        return _torch.cuda.Event(enable_timing=timed, blocking=not timed)

    def launch_in(self, stream: Any) -> AbstractContextManager[object]:
        """What is launched within goes into that stream."""
        context: AbstractContextManager[object] = _torch.cuda.stream(stream)
        return context

    def pin(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Pinned memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def upload(self, pinned: torch.Tensor) -> torch.Tensor:
        """Launch a copy to the card."""
        return pinned.to(self._device, non_blocking=True)

    def download(self, computed: torch.Tensor, pinned: torch.Tensor) -> None:
        """Launch a copy from the card."""
        pinned.copy_(computed, non_blocking=True)

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        """Keep the memory of `tensor` for `stream`."""
        tensor.record_stream(stream)

    def synchronize(self) -> None:
        """Wait until everything launched is done."""
        _torch.cuda.synchronize(self._device)


class _Slot:
    """Pinned memory for the tiles of a batch of any size, and when the card has read it."""

    def __init__(self) -> None:
        self.memory: torch.Tensor | None = None
        self.read: Any = None


class StagedTiles(NamedTuple):
    """A batch of tiles that is on its way to the card, or there."""

    tiles: torch.Tensor
    """(size, height, width, 3) uint8 on the card; black where there were fewer tiles."""
    arrived: Any
    """The event of its arrival."""
    given: int
    """Tiles of it that were given."""


class Lane:
    """What all encoders of a process on one GPU share: one batch computes at a time."""

    def __init__(self, card: GpuCard) -> None:
        self.card = card
        self.copies, self.work = card.stream(), card.stream()
        self.lock = threading.Lock()
        self._slots = deque(_Slot() for _ in range(GPU_BATCHES_AT_ONCE))
        self._free = threading.Semaphore(GPU_BATCHES_AT_ONCE)

    def stage(self, blocks: Sequence[Pixels], size: int) -> StagedTiles:
        """Write tiles into pinned memory, and have the card copy them from there.

        Args:
            blocks: (n, height, width, 3) each; together at most `size` tiles, at least one block.
            size: Tiles of the batch; those that are missing are black.
        """
        with self._free:
            slot = self._slots.popleft()  # the one used longest ago
            try:
                return self._fill(slot, blocks, size)
            finally:
                self._slots.append(slot)

    def _fill(self, slot: _Slot, blocks: Sequence[Pixels], size: int) -> StagedTiles:
        shape = (size, *blocks[0].shape[1:])
        if slot.read is not None:
            slot.read.synchronize()  # the card may still read what was there before
        slot.memory, pinned = _pinned(self.card, slot.memory, shape, torch.uint8)
        rows, count = pinned.numpy(), 0
        for block in blocks:
            np.copyto(rows[count : count + len(block)], block)
            count += len(block)
        rows[count:] = 0
        slot.read = self.card.event(timed=False)
        with self.card.launch_in(self.copies):
            tiles = self.card.upload(pinned)
            slot.read.record(self.copies)
        return StagedTiles(tiles, slot.read, count)


@cache
def _lane_of(device: torch.device) -> Lane:
    return Lane(CudaCard(device))


class GpuQueue:
    """One encoder's batches on one GPU."""

    def __init__(self, lane: Lane) -> None:
        """Begin once what was moved there before, as the weights, has arrived."""
        lane.card.synchronize()
        self._lane = lane
        self._own = threading.local()
        self.device_s = 0.0
        """Seconds from the first to the last kernel of each of its batches: copies that run beside
        do not count, gaps between launches do (`benchmarks.gpu` tells them apart)."""

    @classmethod
    def on(cls, device: torch.device) -> "GpuQueue":
        """A queue in the one lane that this process has on a GPU."""
        return cls(_lane_of(device))

    def stage(self, blocks: Sequence[Pixels], size: int) -> StagedTiles:
        """Bring tiles to the card, for this encoder and all others there; see `Lane.stage`."""
        return self._lane.stage(blocks, size)

    def run(
        self, staged: StagedTiles, compute: Callable[[torch.Tensor], torch.Tensor]
    ) -> npt.NDArray[np.float32]:
        """Compute, and copy the result back; waits for it without the GIL.

        Args:
            staged: From `stage`.
            compute: From (size, height, width, 3) uint8 to (size, dim) float32, both on the card.

        Returns:
            (given, dim): of the tiles that were given.
        """
        lane, card = self._lane, self._lane.card
        began, ended, back = card.event(timed=True), card.event(timed=True), card.event(timed=False)
        with lane.lock, card.launch_in(lane.work):
            lane.work.wait_event(staged.arrived)
            card.keep(staged.tiles, lane.work)
            began.record(lane.work)
            computed = compute(staged.tiles)
            ended.record(lane.work)
            vectors = self._pinned_vectors(tuple(computed.shape))
            card.download(computed, vectors)
            back.record(lane.work)
        back.synchronize()
        with lane.lock:
            self.device_s += began.elapsed_time(ended) / 1000
        copied: npt.NDArray[np.float32] = vectors.numpy()[: staged.given].copy()
        return copied

    def _pinned_vectors(self, shape: tuple[int, ...]) -> torch.Tensor:
        """This thread's memory for vectors; it waits for each batch before it takes the next."""
        before: torch.Tensor | None = getattr(self._own, "vectors", None)
        self._own.vectors, found = _pinned(self._lane.card, before, shape, torch.float32)
        return found


def _pinned(
    card: GpuCard, memory: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pinned memory of a shape: a part of what is there, if that is enough.

    Batches of several tilings take turns, and pinning is slow.

    Returns:
        The memory, and its part of that shape.
    """
    count = math.prod(shape)
    if memory is None or memory.numel() < count:
        memory = card.pin((count,), dtype)
    return memory, memory[:count].view(shape)
