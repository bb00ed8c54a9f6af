"""What a segmenter of tissue or quality states and does: the protocol that its authors implement.

A factory (a function or class without arguments) returns an object with three methods: `spec`,
`load` and `segment`. `docs/extend/segmenter.md` has a whole one.
"""

import hashlib
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from histo_ray.encoder_spec import Microns, TileEdge
from histo_ray.settings import Settings

GROUP = "histo_ray.segmenters"
"""Entry-point group of packages that bring segmenters."""


class SegmenterSpec(Settings):
    """What a segmenter states of itself; receipts record it, and tilings are named by it."""

    classes: tuple[str, ...] = Field(min_length=2, max_length=255)
    """Names of the classes; `segment` returns their places in this list, from 0 on."""
    tissue: tuple[str, ...] = Field(min_length=1)
    """Classes of which tiles are taken, unless `--mask-classes` names others."""
    mpp: Microns
    """Microns per pixel of what it sees."""
    input_px: TileEdge | None = None
    """Edge of the squares that it sees, in px; None: the whole slide as one picture."""
    margin_px: int = Field(0, ge=0, le=2048)
    """Rim of each square whose classes are not used, in px: squares overlap by twice as much."""
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the weights (`digest_file`); without weights, of the file that decides."""
    licence: str = Field(min_length=1)
    """Licence of the weights, as `cc-by-nc-sa-4.0`."""
    revision: str = ""
    """Version or commit of code and weights, in the plugin's words."""
    about: str = ""
    """One line for lists."""

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        plain = [name.strip().lower() for name in self.classes]
        if len(set(plain)) < len(plain) or "" in plain:
            raise ValueError("states a class twice, or one without a name; give each its own")
        unknown = [name for name in self.tissue if name.strip().lower() not in plain]
        if unknown:
            raise ValueError(
                f"states {unknown[0]!r} as tissue, which is none of its classes "
                f"({', '.join(self.classes)}); name one of them"
            )
        if self.input_px is None and self.margin_px:
            raise ValueError("states a margin_px and no input_px; state both, or neither")
        if self.input_px is not None and self.input_px <= 2 * self.margin_px:
            raise ValueError(
                f"states a margin_px of {self.margin_px} on either side of squares of "
                f"{self.input_px} px, which leaves nothing; give a smaller one"
            )
        return self


class SegmenterPlugin(Protocol):
    """A segmenter written in Python."""

    def spec(self) -> SegmenterSpec:
        """State what the segmenter is; quick, and loads nothing. Asked before `load` alone."""

    def load(self, device: Literal["cpu"], threads: int) -> None:
        """Bring the weights into memory; called once, in each process that reads slides.

        Args:
            device: Where to run: readers have no GPU.
            threads: CPU threads that `segment` may use.
        """

    def segment(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.integer]:
        """Find the class of each pixel.

        Args:
            pixels: (N, height, width, 3) RGB, read-only, at `mpp`; with `input_px` that is height
                and width, beyond the slide there is its background. N is 1 or more.

        Returns:
            (N, height, width) places in `classes`; each picture is segmented by itself alone.
        """


def digest_file(path: str | Path) -> str:
    """SHA-256 of a file, in hex, as `weights_sha256` takes it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
