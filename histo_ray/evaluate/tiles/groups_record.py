"""What the record of an evaluation says of groups of tiles."""

from pydantic import Field

from histo_ray.evaluate.record_part import RecordPart


class GroupsRecord(RecordPart):
    """What keeps tiles together."""

    source: str = ""
    """given, column, inferred or none; empty: a run from before it was recorded."""
    column: str = ""
    groups: int = 0
    sha256: str = ""
    """SHA-256 of the names of all tiles' groups, a line each."""
    near_duplicates: int = 0
    """Pairs of tiles that show the same tissue; of inferred groups."""
    settings: dict[str, int | float] = Field(default_factory=dict)
    """Settings that they were inferred with."""
