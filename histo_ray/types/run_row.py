"""What became of a slide in a run. No I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Fate of one slide and encoder in one run; the values stand in run tables."""

    DONE = "done"
    """Its partition was written by this run."""
    SKIPPED = "skipped"
    """Its partition was there before."""
    EMPTY = "empty"
    """It has no tile, which its partition says."""
    FAILED = "failed"
    """It has no partition, or one that no longer fits it."""


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
    """Patient of a slide; empty for a tile set."""
    synthetic: bool = False
    """Whether its manifest or tile table marks it as synthetic."""
    site: str = ""
    """Site of a slide by its manifest; empty where unknown."""
    manifest: str = ""
    """Further columns of its manifest, packed by `store.manifest_columns`; empty without any."""
    tiling: str = ""
    """Fingerprint of its tiling, where the run has several; empty where it has one."""
