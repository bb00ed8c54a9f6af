"""What became of a slide in a run. No I/O."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["done", "skipped", "empty", "failed"]


@dataclass(frozen=True)
class RunRow:
    """What became of one slide and encoder in one run."""

    slide_id: str
    encoder: str
    outcome: Outcome
    reason: str
    n_tiles: int
    seconds: float
    """From the slide's first work to its commit."""
    patient_id: str = ""
    """Of a slide; empty of a tile set."""
    synthetic: bool = False
    """Whether its manifest or tile table marks it as synthetic."""
    site: str = ""
    """Of a slide, as in its manifest; empty where unknown."""
