"""Tiles of a batch on a GPU, from their size and the memory that is free. Pure."""

from collections.abc import Sequence

from histo_ray.encoders.base import EncoderSpec

BATCH_GPU, BATCH_PX = 128, 224
"""Tiles of a batch, and their edge, where `BATCH_BYTES` are free or memory is unknown."""
BATCH_BYTES = 10 * 2**30
"""Free memory that holds such a batch of any encoder of the table: assumed, with room to spare.
Where that is wrong, loading finds it out and halves the batch."""
MOST_TILES = 1024
"""Tiles of a batch, however small they are."""


def choose_batch_size(px: int, memory_bytes: float) -> int:
    """Tiles of a batch: as many pixels whatever the tiles' size, and fewer where memory is short.

    Args:
        px: Edge of a tile as it is read or as an encoder takes it, whichever is longer.
        memory_bytes: Free memory of a GPU that an encoder process has; 0: unknown.

    Returns:
        A power of two, so that halving it keeps to few shapes. More memory than usual holds as
        many large tiles as usual ones, but no more than that.
    """
    share = (BATCH_PX / px) ** 2
    memory = memory_bytes / BATCH_BYTES if memory_bytes else 1.0
    tiles = min(MOST_TILES, int(BATCH_GPU * min(share * memory, max(1.0, share))))
    return 1 << max(0, tiles.bit_length() - 1)


def count_usable_memory(free: Sequence[int], gpus: int) -> int:
    """Memory that each of some GPUs has free.

    Args:
        free: Free bytes of each card of a machine.
        gpus: GPUs of it that may be used: those with the most, if there are more.

    Returns:
        The least of theirs; 0 if nothing is known.
    """
    usable = sorted(free, reverse=True)[:gpus]
    return usable[-1] if usable else 0


def largest_input(specs: Sequence[EncoderSpec]) -> int:
    """Edge of the largest tiles that encoders take, as far as it is known before they load."""
    return max((spec.input_px or 0 for spec in specs), default=0)
