"""Tiles that several encoders are to encode: on a GPU they arrive once for all. No torch."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from histo_ray.encoders.base import Encoder, encode_fixed

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


@runtime_checkable
class StagingEncoder(Encoder, Protocol):
    """An encoder that may take tiles from the memory of its device."""

    @property
    def stages(self) -> bool:
        """Whether it does; all encoders of a process are on one device then."""

    def stage(self, blocks: Sequence[Pixels], size: int) -> Any:
        """Bring at most `size` tiles to the device; the others of the batch are black."""

    def encode_staged(self, staged: Any) -> Vectors:
        """Vectors of the tiles that were given to `stage`, of any encoder on this device."""


class TilePass:
    """Blocks of tiles for one pass of several encoders, which take them one after the other."""

    def __init__(self, blocks: Sequence[Pixels]) -> None:
        """Take over blocks.

        Args:
            blocks: (n, height, width, 3) uint8 RGB each, at least one.
        """
        self._blocks = blocks
        self._joined: Pixels | None = None
        self._staged: dict[int, list[Any]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def encode_with(self, encoder: Encoder, batch_size: int) -> Vectors:
        """Encode all tiles in batches of one shape, as `encode_fixed` does.

        Args:
            encoder: One of those of the pass, all of which are on one device.
            batch_size: Tiles a batch; the last one is filled up with black tiles.

        Returns:
            (N, dim), in the order of the tiles.
        """
        if not (isinstance(encoder, StagingEncoder) and encoder.stages):
            return encode_fixed(encoder, self._join(), batch_size)
        if batch_size not in self._staged:
            batches = split_blocks(self._blocks, batch_size)
            self._staged[batch_size] = [encoder.stage(batch, batch_size) for batch in batches]
        parts = [encoder.encode_staged(staged) for staged in self._staged[batch_size]]
        return np.concatenate(parts) if parts else np.empty((0, encoder.dim), np.float32)

    def _join(self) -> Pixels:
        if self._joined is None:
            first, *others = self._blocks
            self._joined = np.concatenate(self._blocks) if others else first
        return self._joined


def split_blocks(blocks: Sequence[Pixels], batch_size: int) -> Iterator[list[Pixels]]:
    """Batches of at most `batch_size` tiles, in order, as views of the blocks. Pure."""
    batch: list[Pixels] = []
    room = batch_size
    for block in blocks:
        start = 0
        while start < len(block):
            part = block[start : start + room]
            batch.append(part)
            start, room = start + len(part), room - len(part)
            if not room:
                yield batch
                batch, room = [], batch_size
    if batch:
        yield batch
