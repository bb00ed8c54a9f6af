"""What a slide encoder states and does: the protocol of all of them, plugins included. No torch.

A slide encoder makes one vector of all tile vectors of a slide. A factory (a function or class
without arguments) of a plugin returns an object with three methods: `spec`, `load` and `encode`.
`docs/extend/slide-encoder.md` has a whole one.
"""

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from histo_ray.encoder_spec import Microns, TileEdge
from histo_ray.settings import Settings

GROUP = "histo_ray.slide_encoders"
"""Entry-point group of packages that bring slide encoders."""


class SlideSpec(Settings):
    """What a slide encoder states; receipts of slide vectors record it."""

    dim: int | None = Field(default=None, ge=1)
    """Length of a slide's vector; None: it follows from that of the tiles' vectors."""
    tile_dim: int | None = Field(default=None, ge=1)
    """Contract: length of a tile's vector; None accepts any."""
    tile_encoders: tuple[str, ...] = ()
    """Contract: names of the tile encoders it was made for, as stores call them; empty: any."""
    tile_weights_sha256: str | None = None
    """Contract: digest of the tile encoder's weights; None accepts any."""
    tile_px: TileEdge | tuple[TileEdge, ...] | None = None
    """Contract: edge of a tile in px, or several that will do; None accepts any."""
    mpp: Microns | tuple[Microns, ...] | None = None
    """Contract: microns per pixel of a tile, or several that will do; None accepts any."""
    licence: str = Field(min_length=1)
    """Licence of the weights, as `apache-2.0`."""
    method: str = Field(min_length=1)
    """The published method that it is, as `VLAD (Jegou et al. 2010)`."""
    weights_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the weights, or of the settings where there are none; may be None until loaded."""
    seed: int | None = None
    """Seed of what is drawn at random; None: nothing is."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Arithmetic of `encode`."""
    code_revision: str = ""
    """Commit of the repository whose Python code encodes, at the user's wish; empty: none does."""
    gated: bool = False
    """Whether the weights need a token and an accepted licence."""
    pretrained_on: str = ""
    """Public cohorts that it was trained on, in words: do not evaluate it on these."""
    about: str = ""
    """One line for lists."""


class TileBag(NamedTuple):
    """All tile vectors of one slide; arrays are read-only."""

    vectors: npt.NDArray[np.float32]
    """(N, D), N above 0, finite."""
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y) of each tile, level-0 px."""
    side: tuple[float, float]
    """(width, height) of a tile, level-0 px."""
    tile_px: int | None
    """Edge of a tile as the tile encoder saw it, in px; None: unknown."""
    mpp: float | None
    """Microns per pixel at that size; None: unknown."""


class SlideEncoderPlugin(Protocol):
    """A slide encoder."""

    def spec(self) -> SlideSpec:
        """State what it is; quick, and loads nothing. Asked again after `load`."""

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Bring the weights to `device`; called once.

        Args:
            device: Where to run.
            threads: CPU threads that `encode` may use.
        """

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """Encode one slide; called by one thread at a time.

        Args:
            bag: Its tiles.

        Returns:
            (dim,), finite; the order of tiles has no meaning beyond their coords.
        """
