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
    group: int = 0
    """Which of the run's tilings this is."""


def tiling_of(slide: Slide, config: ExtractConfig) -> TilingConfig:
    """Tiling of a slide: its own where the run has several, else the run's."""
    return tiling_of_several(slide) or config.tiling


def tiling_of_several(slide: Slide) -> TilingConfig | None:
    """Tiling of a slide where the run has several; None where it has one."""
    return slide.tiling if isinstance(slide, TiledSlide) else None


def describe_tiles(tiling: TilingConfig) -> str:
    """Describe the tiles of a tiling, as in `256 px at 0.5 mpp, stride 128`. Pure."""
    parts = [f"{tiling.tile_px} px at {tiling.mpp:g} mpp"]
    if tiling.stride != tiling.tile_px:
        parts.append(f"stride {tiling.stride}")
    if tiling.stain != "none":
        parts.append(f"stain {tiling.stain}")
    return ", ".join(parts)


def name_subject(slide: Slide) -> str:
    """Name a slide, with its tiles where the run has several tilings, for a file of it. Pure."""
    if not isinstance(slide, TiledSlide) or slide.tiling is None:
        return slide.slide_id
    words = describe_tiles(slide.tiling).replace(" at ", "-").replace(", ", "-").replace(" ", "")
    return f"{slide.slide_id}-{words}"
