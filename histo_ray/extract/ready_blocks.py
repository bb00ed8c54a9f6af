"""Tiles that were read and wait for an encoder."""

from collections import deque
from collections.abc import Iterable, Iterator

from histo_ray.extract.work import ReadyBlock, drop_stale, pack_batch


class ReadyBlocks:
    """Blocks in order of arrival, and how many tiles they hold: a driver asks for that often."""

    def __init__(self) -> None:
        self._blocks: deque[ReadyBlock] = deque()
        self.tiles = 0
        """Sum of their tiles."""

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[ReadyBlock]:
        return iter(self._blocks)

    @property
    def since(self) -> float:
        """time.monotonic() when the oldest was read."""
        return self._blocks[0].since

    def append(self, block: ReadyBlock) -> None:
        """Add tiles that were read."""
        self._blocks.append(block)
        self.tiles += block.count

    def put_back(self, blocks: Iterable[ReadyBlock]) -> None:
        """Put tiles, in order, before all others: the call that had them is lost."""
        self._keep(deque([*blocks, *self._blocks]))

    def drop_stale(self) -> None:
        """Drop those of subjects that are finished or have started over."""
        fresh = drop_stale(self._blocks)
        if len(fresh) < len(self._blocks):
            self._keep(fresh)

    def take(self, size: int, *, flush: bool, step: int = 0) -> list[ReadyBlock]:
        """Take the tiles of one call of an encoder, as `pack_batch` chooses them."""
        chosen, left = pack_batch(self._blocks, size, flush=flush, step=step)
        if chosen:
            self._blocks = left
            self.tiles -= sum(block.count for block in chosen)
        return chosen

    def _keep(self, blocks: deque[ReadyBlock]) -> None:
        self._blocks = blocks
        self.tiles = sum(block.count for block in blocks)
