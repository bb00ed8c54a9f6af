"""One pass of several encoders over blocks of tiles, which go to a GPU once. No torch."""

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


def encode_pass(
    encoders: Sequence[Encoder], blocks: Sequence[Pixels], batch_size: int
) -> list[Vectors]:
    """Encode blocks of tiles with several encoders, in batches of one shape.

    Args:
        encoders: At least one, all on one device.
        blocks: (n, height, width, 3) uint8 RGB each, at least one.
        batch_size: Tiles a batch; the last one is filled up as `encode_fixed` does.

    Returns:
        For each encoder (sum of n, dim), in the order of the tiles.
    """
    staging = [e for e in encoders if isinstance(e, StagingEncoder) and e.stages]
    if len(staging) < len(encoders):
        tiles = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return [encode_fixed(encoder, tiles, batch_size) for encoder in encoders]
    count = sum(map(len, blocks))
    vectors = [np.empty((count, encoder.dim), np.float32) for encoder in staging]
    start = 0
    for batch in split_blocks(blocks, batch_size):
        staged = staging[0].stage(batch, batch_size)
        stop = start + sum(map(len, batch))
        for encoder, rows in zip(staging, vectors, strict=True):
            rows[start:stop] = encoder.encode_staged(staged)
        start = stop
    return vectors


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
