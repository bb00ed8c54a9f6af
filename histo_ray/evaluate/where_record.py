"""What a condition on tiles kept, as records state it."""

from pydantic import Field

from histo_ray.evaluate.record_part import RecordPart


class KeptRecord(RecordPart):
    """What a condition keeps of the tiles of one encoder, or of one tile set."""

    slides: int = 0
    """With tiles before it; 0: a tile set."""
    tiles: int = 0
    kept: int = 0
    median_dropped: float = 0.0
    """Median over slides of the share of tiles that are dropped."""
    most_dropped: float = 0.0
    emptied: tuple[str, ...] = ()
    """Slides of which no tile is kept."""
    sha256: str = ""
    """Digest of which tiles are kept of which slide."""


class WhereRecord(RecordPart):
    """A condition on tiles, and what it keeps."""

    text: str
    encoders: dict[str, KeptRecord] = Field(default_factory=dict)
    """By encoder; by tile set in an evaluation on labelled tiles."""
