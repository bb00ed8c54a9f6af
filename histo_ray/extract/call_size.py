"""How many tiles a call reads: many, so that a driver has few calls; few where others wait.

Pure. The unit is a batch of an encoder. With one batch a call every rule gives that.
"""

from collections import deque

CALL_PIXELS = 1024 * 224**2
"""Most pixels of a call on GPUs: 154 MB of RGB, which a reader holds once."""
CPU_CALL_PIXELS = 256 * 224**2
"""The same on CPU: 39 MB. Most encoders there take so long that a call has one batch."""
CALL_S = 0.4
"""Seconds that an encoder may take for the longest call: rarely called, soon heard of again."""
ANSWERS = 8
"""Answers of encoders, the last ones, that tell how long a batch takes."""


def batches_a_call(
    tile_px: int, batch_size: int, blocks: int, processes_hold: int, pixels: int = CALL_PIXELS
) -> int:
    """Most batches that one call reads or encodes.

    Args:
        tile_px: Edge of a tile.
        batch_size: Tiles of a batch.
        blocks: Batches whose pixels memory holds.
        processes_hold: Calls that all processes of the run hold when none of them waits.
        pixels: Most pixels of a call.
    """
    most = pixels // (batch_size * tile_px**2)
    return max(1, min(most, blocks // processes_hold))


class EncodingPace:
    """How long a tile has taken an encoder process lately."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, float]] = deque(maxlen=ANSWERS)

    def note(self, tiles: int, busy_s: float) -> None:
        """Take an answer: tiles that were encoded, and seconds that this took."""
        self._answers.append((tiles, busy_s))

    def batches_in_time(self, batch_size: int, most: int) -> int:
        """Batches of a call that lasts no longer than `CALL_S`; one before the first answer."""
        tiles = sum(count for count, _ in self._answers)
        if not tiles:
            return 1
        batch_s = sum(busy_s for _, busy_s in self._answers) / tiles * batch_size
        return most if batch_s * most <= CALL_S else max(1, int(CALL_S / batch_s))


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
