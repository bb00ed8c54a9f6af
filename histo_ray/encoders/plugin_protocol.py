"""What a Python encoder plugin states and does: the protocol that its authors implement. No torch.

A factory (a function or class without arguments) returns an object with three methods: `spec`,
`load` and `encode`. `docs/extend/encoder.md` has a whole one.
"""

from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from histo_ray.encoder_spec import Microns, Rgb, TileEdge
from histo_ray.settings import Settings

GROUP = "histo_ray.encoders"
"""Entry-point group of packages that bring encoders."""


class PluginSpec(Settings):
    """What a plugin states of its encoder; receipts record it."""

    dim: int = Field(ge=1)
    """Length of a vector."""
    input_px: int = Field(ge=8, le=4096)
    """Edge of what the network sees, in px."""
    licence: str = Field(min_length=1)
    """Licence of the weights, as `apache-2.0`."""
    tile_px: TileEdge | tuple[TileEdge, ...] | None = None
    """Tile contract: edge of a tile in px, or several that will do; None accepts any."""
    mpp: Microns | tuple[Microns, ...] | None = None
    """Tile contract: microns per pixel of a tile, or several that will do; None accepts any."""
    stain: Literal["none", "macenko", "reinhard"] | None = None
    """Tile contract: how tiles' stain is normalised; None accepts any."""
    mean: Rgb | None = None
    """Subtracted per channel, of pixels scaled to 0..1; None where `preprocessing` says more."""
    std: Rgb | None = None
    """Divided by, per channel."""
    preprocessing: str = ""
    """What the plugin does with tiles, in words, where that is more than `mean` and `std`."""
    weights_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the weights, which tells encoders of one name apart; may be None until loaded."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Arithmetic of `encode`."""
    gated: bool = False
    """Whether the weights need a token and an accepted licence."""
    about: str = ""
    """One line for lists."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Where facts were read, by fact: URL of a model card or file."""

    @model_validator(mode="after")
    def _check_normalisation(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("states one of mean and std; state both, or neither")
        if self.mean is None and not self.preprocessing.strip():
            raise ValueError(
                "states no mean and std and no preprocessing; state either, so that receipts can "
                "say what was done with the pixels"
            )
        return self


class EncoderPlugin(Protocol):
    """An encoder written in Python."""

    def spec(self) -> PluginSpec:
        """State what the encoder is; quick, and loads nothing. Asked again after `load`."""

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Bring the weights to `device`; called once, in each process that encodes.

        Args:
            device: Where to run.
            threads: CPU threads that `encode` may use.
        """

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
        """Encode tiles.

        Args:
            pixels: (N, height, width, 3) RGB, read-only, all of the run's tile size; N is the same
                in every call of a run, and some tiles may be black fillings.

        Returns:
            (N, dim); each row depends on its own tile alone.
        """
