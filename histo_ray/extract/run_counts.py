"""Progress of a run, in numbers."""

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """How far a run is."""

    slides: int
    slides_done: int = 0
    slides_planned: int = 0
    slides_failed: int = 0
    tiles_planned: int = 0
    tiles_read: int = 0
    tiles_encoded: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    """Tiles encoded, by encoder."""
    deaths: int = 0
    restarts: int = 0
    """Times that a slide started over."""
    began: float = 0.0
    """time.monotonic() when the first slide was given out; 0 before."""
    ended: float = 0.0
    """The same when the loop last turned."""
    blocks_ready: int = 0
    """Blocks that were read and wait for an encoder."""
    block_seconds: float = 0.0
    """Their number, summed over the seconds of the run."""
    encode_began: float = 0.0
    """time.monotonic() when the first batch went to an encoder; 0 before."""
    encode_ended: float = 0.0
    """The same when the last batch came back."""

    def turn(self, blocks_ready: int) -> None:
        """The loop turns once more: note the time, and how many blocks wait."""
        now = time.monotonic()
        self.began = self.began or now
        self.block_seconds += self.blocks_ready * (now - (self.ended or now))
        self.ended, self.blocks_ready = now, blocks_ready
