"""Progress of a run, in numbers."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class StartTimes(NamedTuple):
    """Seconds until a run could work, by what they went into; 0 where it was not there."""

    ray_s: float = 0.0
    """Ray itself: started here, or joined."""
    processes_s: float = 0.0
    """From then until the first encoder's process loaded: Ray starts it, it imports our code."""
    loading_s: float = 0.0
    """That this process took to import torch and to load the encoders."""


NOT_TIMED = StartTimes()


@dataclass
class Counts:
    """Counts of slides, tiles, vectors and deaths of a run so far."""

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
    left_out: list[str] = field(default_factory=list)
    """Processes that the run went on without, and why; a sentence each."""
    devices: set[str] = field(default_factory=set)
    """Devices that encoded, in words."""
    smallest_batch: int = 0
    """Fewest tiles that an encoder took at once because memory ran out; 0: none had to."""
    began: float = 0.0
    """time.monotonic() when the first slide was given out; 0 before."""
    ended: float = 0.0
    """The same when the loop last turned."""
    blocks_ready: int = 0
    """Blocks that were read and wait for an encoder."""
    block_seconds: float = 0.0
    """Their number, summed over the seconds of the run."""
    start: StartTimes = NOT_TIMED
    """What the time until `began` went into."""
    encode_began: float = 0.0
    """time.monotonic() when the first batch went to an encoder; 0 before."""
    encode_ended: float = 0.0
    """The same when the last batch came back."""

    def turn(self, blocks_ready: int) -> None:
        """Note the time, and how many blocks wait, once a turn of the loop."""
        now = time.monotonic()
        self.began = self.began or now
        self.block_seconds += self.blocks_ready * (now - (self.ended or now))
        self.ended, self.blocks_ready = now, blocks_ready

    def note_smaller_batch(self, tiles: int) -> None:
        """Note that an encoder took no more tiles at once, for want of memory."""
        self.smallest_batch = min(tiles, self.smallest_batch or tiles)
