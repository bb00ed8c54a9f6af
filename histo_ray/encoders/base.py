"""What an encoder is, and the pure functions around it. No torch, no I/O."""

import math
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from histo_ray.encoder_spec import NAME_PATTERN, EncoderSpec, Rgb
from histo_ray.encoder_spec import EncoderPool as Pool
from histo_ray.errors import ConfigError
from histo_ray.types import Floats

__all__ = [
    "GPU_BATCHES_AT_ONCE",
    "MPP_TOLERANCE",
    "NAME_PATTERN",
    "Device",
    "Encoder",
    "EncoderSpec",
    "Engine",
    "Pool",
    "Precision",
    "Rgb",
    "check_contract",
    "check_pixels",
    "describe_choice",
    "encode_fixed",
    "find_nonfinite",
]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["torch", "openvino"]
GPU_BATCHES_AT_ONCE = 4
"""Batches that a GPU encoder has at once: one is written into pinned memory, one is on its way,
one computes, and the vectors of one go back."""
MPP_TOLERANCE = 0.01
"""Relative difference of mpp up to which a request still keeps to an encoder's contract."""


class Encoder(Protocol):
    """A loaded encoder: one network on one device."""

    @property
    def spec(self) -> EncoderSpec:
        """The encoder's spec, with nothing left open."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def weights_sha256(self) -> str:
        """Over all weights as loaded, before any rewriting."""

    @property
    def precision(self) -> str:
        """Arithmetic: float32, float16 or bfloat16."""

    @property
    def device(self) -> str:
        """Where it runs, in words."""

    @property
    def batch_norm_folded(self) -> bool:
        """Whether batch norms were folded into convolutions."""

    @property
    def fixed_tiles(self) -> int | None:
        """Tiles in each call of the network, whatever `encode` is given; None: as many as that."""

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode (B, height, width, 3) uint8 RGB into (B, dim) float32."""


def check_contract(
    spec: EncoderSpec, mpp: float | None, tile_px: int, allow: bool, stain: str = "none"
) -> str:
    """Hold a tiling against what the encoder was made for.

    Args:
        spec: The encoder.
        mpp: Microns per pixel of the tiles; None where unknown, which breaks nothing.
        tile_px: Edge of the tiles in px.
        allow: Accept a breach; it is then returned, to be recorded.
        stain: How their stain is normalised.

    Returns:
        What is breached, as "mpp 1 instead of 0.5"; empty if nothing is.

    Raises:
        ConfigError: The contract is breached and `allow` is False.
    """
    broken: list[tuple[str, str, str, str]] = []  # key, found, made for, what to ask for
    if mpp is not None and not any(
        math.isclose(mpp, fit, rel_tol=MPP_TOLERANCE) for fit in _all_of(spec.mpp) or (mpp,)
    ):
        broken.append(("mpp", f"{mpp:g}", describe_choice(spec.mpp), _nearest(spec.mpp, mpp)))
    if tile_px not in (_all_of(spec.tile_px) or (tile_px,)):
        made_for = describe_choice(spec.tile_px)
        broken.append(("tile_px", str(tile_px), made_for, _nearest(spec.tile_px, tile_px)))
    if spec.stain is not None and stain != spec.stain:
        broken.append(("stain", stain, spec.stain, spec.stain))
    if broken and not allow:
        found = " and ".join(f"{key} {value}" for key, value, _, _ in broken)
        made_for = " and ".join(f"{key} {value}" for key, _, value, _ in broken)
        flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, _, _, value in broken)
        raise ConfigError(
            f"encoder {spec.name!r} was made for tiles of {made_for}, not of {found}; "
            f"ask for {flags}, or pass --allow-contract-break"
        )
    return "; ".join(f"{key} {value} instead of {right}" for key, value, right, _ in broken)


def describe_choice(values: float | tuple[float, ...] | None) -> str:
    """A tile contract's number in words: "0.5", "0.25, 0.5 or 1", or "any"."""
    *others, last = [f"{value:g}" for value in _all_of(values)] or ["any"]
    return f"{', '.join(others)} or {last}" if others else last


def _nearest(values: float | tuple[float, ...] | None, asked: float) -> str:
    return f"{min(_all_of(values), key=lambda value: abs(value - asked)):g}"


def _all_of(values: float | tuple[float, ...] | None) -> tuple[float, ...]:
    if values is None:
        return ()
    return values if isinstance(values, tuple) else (values,)


def check_pixels(pixels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Check that tiles are (B, height, width, 3) uint8, and return them as an array.

    Raises:
        ConfigError: They are of another shape or type.
    """
    right = "give uint8 RGB values of 0 to 255 in the shape (tiles, height, width, 3)"
    try:
        found = np.asarray(pixels)
    except (TypeError, ValueError) as error:  # of lists of several lengths; on a GPU
        raise ConfigError(f"tiles are no array ({error}); {right}") from None
    if found.dtype == np.uint8 and found.ndim == 4 and found.shape[3] == 3:
        return found
    hint = right
    if found.ndim == 3 and found.shape[2] == 3:
        hint += "; one tile is tile[np.newaxis]"
    elif found.ndim == 4 and found.shape[1] == 3:
        hint += "; channels come last: tiles.transpose(0, 2, 3, 1)"
    raise ConfigError(f"tiles have the shape {found.shape} and the type {found.dtype}; {hint}")


def encode_fixed(
    encoder: Encoder, pixels: npt.NDArray[np.uint8], batch_size: int
) -> npt.NDArray[np.float32]:
    """Encode any number of tiles in batches of one shape.

    Kernels are chosen by shape, so a vector could depend on how many tiles came with it. Here
    the network never sees another shape than `batch_size` tiles: the last batch is filled up
    with black tiles, whose vectors are dropped. An encoder with `fixed_tiles` sees to that itself.

    Args:
        encoder: The encoder.
        pixels: (N, height, width, 3) RGB.
        batch_size: Tiles a batch, where the encoder has no fixed number of its own.

    Returns:
        (N, dim), in the order of `pixels`.
    """
    if encoder.fixed_tiles is not None:
        return encoder.encode(pixels)
    vectors = np.empty((len(pixels), encoder.dim), np.float32)
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        count = len(batch)
        if count < batch_size:
            filled = np.zeros((batch_size, *pixels.shape[1:]), np.uint8)
            filled[:count] = batch
            batch = filled
        vectors[start : start + count] = encoder.encode(batch)[:count]
    return vectors


def find_nonfinite(vectors: Floats, dtype: Literal["float16", "float32"]) -> int:
    """Count vectors that would not be finite once stored as `dtype`.

    A finite float32 beyond 65,504 is infinite in float16.

    Args:
        vectors: (N, dim).
        dtype: Element type of the store.
    """
    with np.errstate(over="ignore"):
        stored = vectors.astype(dtype)
    return int(np.count_nonzero(~np.isfinite(stored).all(axis=1)))
