"""Tissue masks, tiles and their embeddings. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float16] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class TissueMask:
    """Where tissue is, over the whole slide."""

    pixels: npt.NDArray[np.bool_]
    """(height, width) bool."""
    downsample: tuple[float, float]
    """Level-0 px per mask px, (x, y)."""
    ink: npt.NDArray[np.bool_] | None = None
    """(height, width) bool, pen marks; None where nobody looked for them (a given mask)."""
    density: npt.NDArray[np.float32] | None = None
    """(height, width) mean optical density of the overview; None likewise."""

    @property
    def tissue_share(self) -> float:
        """Share of the slide that is tissue, 0..1."""
        return float(self.pixels.mean())

    @property
    def ink_share(self) -> float | None:
        """Share of the slide that pen marks cover, 0..1."""
        return None if self.ink is None else float(self.ink.mean())


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a slide, row-major."""

    slide_id: str
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(N,) fraction of each tile that is tissue, 0..1."""
    side: tuple[float, float]
    """Exact (width, height) of a tile in level-0 px."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class TileBatch:
    """Some consecutive tiles of one slide."""

    slide_id: str
    start: int
    """tile_id of the first tile."""
    coords: npt.NDArray[np.int32]
    """(B, 2) top-left (x, y), level-0 px."""
    pixels: npt.NDArray[np.uint8]
    """(B, tile_px, tile_px, 3) RGB."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class TileRows:
    """Some consecutive rows of an embedding partition, before they are written."""

    coords: npt.NDArray[np.int32]
    """(n, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(n,) tissue fraction, 0..1."""
    focus: npt.NDArray[np.float32]
    """(n,) variance of the Laplacian of luminance (0..255) at the tile's own mpp."""
    embeddings: Floats
    """(n, D)."""
    texts: Mapping[str, npt.NDArray[np.str_]] = field(default_factory=dict)
    """(n,) of each optional column that the partition has: `label`, `group`."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class Bag:
    """All embeddings of one slide."""

    slide_id: str
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    embeddings: Floats
    """(N, D)."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class LabelledBag(Bag):
    """All embeddings of one labelled tile set."""

    labels: tuple[str, ...]
    """(N,) class of each tile."""
    groups: tuple[str, ...] | None
    """(N,) patient of each tile; None where unknown."""
