"""What one row of a run is about: a slide, or a labelled tile set."""

from collections.abc import Mapping
from typing import Any, Protocol


class Subject(Protocol):
    """Source of tiles that becomes one partition an encoder; `Slide` is one."""

    @property
    def slide_id(self) -> str:
        """Name of its partitions: the slide's id, or the tile set's name."""

    @property
    def patient_id(self) -> str:
        """Patient of all its tiles; empty for a tile set."""

    @property
    def site(self) -> str:
        """Tissue source site; empty where unknown."""

    @property
    def extra(self) -> Mapping[str, Any]:
        """Further columns of its manifest; empty for a tile set."""

    @property
    def synthetic(self) -> bool:
        """Whether its manifest or table marks it as synthetic."""
