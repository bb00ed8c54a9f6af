"""What an encoder is, and the pure functions around it. No torch, no I/O."""

import math
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from histo_ray.config import Settings
from histo_ray.errors import ConfigError
from histo_ray.types import Floats

Rgb = tuple[float, float, float]
Pool = Literal["timm", "avg", "token", "cls+mean"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["torch", "openvino"]
TileEdge = Annotated[int, Field(ge=8, le=4096)]
Microns = Annotated[float, Field(gt=0)]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,149}$"
"""Names of encoders become parts of paths: stores take no others."""
MPP_TOLERANCE = 0.01
"""Relative difference of mpp up to which a request still keeps to an encoder's contract."""


class EncoderSpec(Settings):
    """Everything that tells one encoder from another.

    `resolve` may leave dim, input_px, mean, std and interpolation open: timm or the weights
    know them. The spec of a loaded encoder has them all.
    """

    name: str = Field(pattern=NAME_PATTERN)
    """Slug: the `encoder=` of a partition's path."""
    request: str
    """What the user asked for, in full."""
    source: Literal["timm", "hub", "file", "random", "store"]
    """Where weights come from: timm's own, a hub repository, a local file, nowhere, or a store."""
    architecture: str
    """timm name; `hf-hub:org/name` while only the repository knows it."""
    hub: str | None = None
    """Repository `org/name` or `org/name@revision` that holds the weights."""
    file: str | None = None
    """Local weights (.safetensors, .pth, .pt, .bin), in place of `hub` and of timm's own."""
    published: str | None = None
    """Store that holds the weights, published by fine-tuning."""
    published_name: str | None = None
    """Name of the weights in that store."""
    weights_sha256: str | None = None
    """What the weights must be; None: whatever is there."""
    seed: int | None = Field(None, ge=0)
    """Of random weights."""
    dim: int | None = Field(None, ge=1)
    input_px: int | None = Field(None, ge=8, le=4096)
    """Edge of what the network sees; tiles of another size are resized to it."""
    resize_px: int | None = Field(None, ge=8, le=4096)
    """Edge to which tiles of another size than `input_px` are resized instead; the network then
    sees their centre. None: it sees the whole tile."""
    tile_px: TileEdge | tuple[TileEdge, ...] | None = None
    """Tile contract: edge of a tile in px, or several that will do; None accepts any."""
    mpp: Microns | tuple[Microns, ...] | None = None
    """Tile contract: microns per pixel of a tile, or several that will do; None accepts any."""
    stain: Literal["none", "macenko", "reinhard"] | None = None
    """Tile contract: how tiles' stain is normalised; None accepts any."""
    mean: Rgb | None = None
    """Per channel, of pixels scaled to 0..1."""
    std: Rgb | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None
    pool: Pool = "timm"
    """`timm`: the network's own; `cls+mean`: class token beside the mean of patch tokens."""
    timm_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Construction arguments of the timm network."""
    licence: str = ""
    """Licence of the weights."""
    gated: bool = False
    """Whether the repository needs a token and an accepted licence."""
    about: str = ""
    pos_embed_resampled: str = Field("", exclude=True)
    """Known once loaded: how its position embedding was resampled, as "37x37 to 16x16"."""
    config_differs: str = Field("", exclude=True)
    """Known once loaded: where the repository's own configuration says something else."""

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `resize_px` only where it is set: fingerprints of 0.1.0 do not know it."""
        values: dict[str, Any] = serialise(self)
        if values.get("resize_px", 0) is None:
            del values["resize_px"]
        return values

    @model_validator(mode="after")
    def _check_resize(self) -> Self:
        if self.resize_px and self.input_px and self.resize_px < self.input_px:
            raise ValueError(
                f"resize_px {self.resize_px} is smaller than input_px {self.input_px}: "
                "the network would see beyond the tile"
            )
        return self


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
