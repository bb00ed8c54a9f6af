"""What one row of a run is about: a slide, or a labelled tile set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.types import Slide


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


@dataclass(frozen=True)
class TiledSlide(Slide):
    """A slide in one of the several tilings of a run."""

    tiling: TilingConfig | None = None


def tiling_of(slide: Slide, config: ExtractConfig) -> TilingConfig:
    """Tiling of a slide: its own where the run has several, else the run's."""
    own = slide.tiling if isinstance(slide, TiledSlide) else None
    return own or config.tiling
