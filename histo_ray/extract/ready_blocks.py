"""Tiles that were read and wait for an encoder."""

from collections import deque
from collections.abc import Iterable, Iterator

from histo_ray.extract.work import ReadyBlock, drop_stale, pack_batch


class ReadyBlocks:
    """Blocks in order of arrival, and how many tiles they hold: a driver asks for that often."""

    def __init__(self) -> None:
        self._blocks: deque[ReadyBlock] = deque()
        self.load = 0.0
        """Their pixels, in tiles of the run's largest size."""

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
        self.load += block.load

    def put_back(self, blocks: Iterable[ReadyBlock]) -> None:
        """Put tiles, in order, before all others: the call that had them is lost."""
        self._keep(deque([*blocks, *self._blocks]))

    def drop_stale(self) -> None:
        """Drop those of subjects that are finished or have started over."""
        fresh = drop_stale(self._blocks)
        if len(fresh) < len(self._blocks):
            self._keep(fresh)

    @property
    def groups(self) -> list[int]:
        """Tilings that blocks are there of, the one of the oldest first."""
        return list(dict.fromkeys(block.work.group for block in self._blocks))

    def take(
        self, size: int, *, flush: bool, step: int = 0, group: int | None = None
    ) -> list[ReadyBlock]:
        """Take the tiles of one call of an encoder, as `pack_batch` chooses them.

        Args:
            size: Most tiles of a call.
            flush: Whether fewer will do.
            step: As of `pack_batch`.
            group: The tiling to take from; None: there is one only.
        """
        own = [block for block in self._blocks if group in (None, block.work.group)]
        chosen, left = pack_batch(own, size, flush=flush, step=step)
        if chosen and group is None:
            self._keep(left)
        elif chosen:
            others = (block for block in self._blocks if group not in (None, block.work.group))
            self._keep(deque(sorted((*left, *others), key=lambda block: block.since)))
        return chosen

    def _keep(self, blocks: deque[ReadyBlock]) -> None:
        self._blocks = blocks
        self.load = sum(block.load for block in blocks)
