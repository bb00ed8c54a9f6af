"""How many tiles a call reads: many, so that a driver has few calls; few where others wait.

Pure. The unit is a batch of an encoder. With one batch a call, as on CPU, every rule gives that.
"""

CALL_PIXELS = 1024 * 224**2
"""Most pixels of a call: 154 MB of RGB, which a reader holds once."""


def batches_a_call(tile_px: int, batch_size: int, blocks: int, processes_hold: int) -> int:
    """Most batches that one call reads or encodes.

    Args:
        tile_px: Edge of a tile.
        batch_size: Tiles of a batch.
        blocks: Batches whose pixels memory holds.
        processes_hold: Calls that all processes of the run hold when none of them waits.
    """
    most = CALL_PIXELS // (batch_size * tile_px**2)
    return max(1, min(most, blocks // processes_hold))


def tiles_to_read(
    batch_size: int, most_batches: int, asked: int, unread: int | None, readers: int
) -> int:
    """Tiles that the next call of a reader reads, if there are as many.

    Args:
        batch_size: Tiles of a batch.
        most_batches: Most batches of a call.
        asked: Tiles that this reader was asked for before: its calls grow from a single batch on,
            so that encoders need not wait long for the first.
        unread: Tiles that no reader was given yet, where no further subject waits: calls get
            shorter towards the end, so that all readers end together. None: others wait.
        readers: Readers of the run.
    """
    batches = min(most_batches, 1 + 2 * asked // batch_size)
    if unread is not None:
        batches = min(batches, max(1, unread // (readers * batch_size)))
    return batches * batch_size
