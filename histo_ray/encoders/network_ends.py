"""Around a timm network, whatever engine runs it: pixels to what it sees, features to vectors."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from histo_ray.encoders.base import EncoderSpec, Pool
from histo_ray.errors import ConfigError


class Normaliser:
    """Pixels of 0..255 to what an encoder's network sees."""

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        mean = torch.tensor(spec.mean, dtype=torch.float32).reshape(1, 3, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float32).reshape(1, 3, 1, 1)
        self._scale = (1 / (255 * std)).to(device)
        self._bias = (-mean / std).to(device)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) of 0..255 to the same shape, in channels-last memory."""
        return torch.addcmul(self._bias, values, self._scale).contiguous(
            memory_format=torch.channels_last
        )


REFUSALS = (AssertionError, AttributeError, RuntimeError)
"""What networks raise on tiles of a size that is not theirs."""


def describe_size(spec: EncoderSpec, side: int, error: BaseException) -> ConfigError:
    """The error of a network that does not run on tiles of `side` px.

    Args:
        spec: Of the network.
        side: Edge of the tiles, in px.
        error: What the network raised.
    """
    reason = " ".join(str(error).split())[:200]
    return ConfigError(
        f"encoder {spec.name!r}: {spec.architecture} does not run on tiles of {side} px with pool "
        f"{spec.pool!r} ({reason}); change px, add img_size={side} for a network of fixed size, or "
        "choose another pool"
    )


def fit_tiles(values: torch.Tensor, spec: EncoderSpec) -> torch.Tensor:
    """Make tiles the size that a network sees.

    Args:
        values: (B, 3, height, width), float32 of 0..255.
        spec: With `input_px`, `interpolation` and, if the centre is to be cut out, `resize_px`.

    Returns:
        (B, 3, input_px, input_px). Tiles of that size are returned as they are.
    """
    side = spec.input_px
    if side is None or tuple(values.shape[-2:]) == (side, side):
        return values
    edge = spec.resize_px or side
    if tuple(values.shape[-2:]) != (edge, edge):
        mode = spec.interpolation or "bicubic"
        values = functional.interpolate(values, (edge, edge), mode=mode, antialias=True)
        values = values.clamp_(0, 255)  # bicubic overshoots at edges
    before = round((edge - side) / 2)  # as torchvision's CenterCrop
    return values[..., before : before + side, before : before + side]


def turn_tiles(values: torch.Tensor, rotations: int | None) -> Iterator[torch.Tensor]:
    """Orientations of tiles: as they are, then the other quarter turns, then all of them mirrored.

    Args:
        values: (B, 3, height, width).
        rotations: 4 or 8; None: as they are alone.

    Yields:
        (B, 3, height, width), or (B, 3, width, height) after an odd number of quarter turns; in the
        memory format of `values`.
    """
    for number in range(rotations or 1):
        turned = torch.rot90(values, number % 4, (2, 3)) if number % 4 else values
        yield turned.flip(3) if number >= 4 else turned


def average_orientations(
    encode: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor, rotations: int | None
) -> torch.Tensor:
    """Mean, in float32, of the vectors of all orientations of tiles.

    Args:
        encode: Normalised tiles to (B, dim).
        values: (B, 3, height, width), normalised.
        rotations: As for `turn_tiles`.

    Returns:
        (B, dim) float32.
    """
    if rotations is None:
        return encode(values).float()
    vectors = [encode(turned).float() for turned in turn_tiles(values, rotations)]
    return torch.stack(vectors).mean(0)


class PooledNetwork(nn.Module):
    """`encode_pooled` as a module, for engines that take only modules."""

    def __init__(self, network: nn.Module, pool: Pool) -> None:
        super().__init__()
        self.network = network
        self._pool: Pool = pool

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised pixels to (B, dim)."""
        return encode_pooled(self.network, self._pool, values)


def encode_pooled(network: Any, pool: Pool, values: torch.Tensor) -> torch.Tensor:
    """Vectors of normalised tiles.

    Args:
        network: A timm network.
        pool: How its features become one vector a tile.
        values: (B, 3, height, width).

    Returns:
        (B, dim).

    Raises:
        RuntimeError: The features have no class token, and `pool` needs one.
    """
    if pool == "timm":
        vectors: torch.Tensor = network(values)
        return vectors
    features = network.forward_features(values)
    prefix = int(getattr(network, "num_prefix_tokens", 0))
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    return pool_features(features.float(), pool, prefix, channels_last)


def pool_features(
    features: torch.Tensor, pool: Pool, prefix_tokens: int, channels_last: bool = False
) -> torch.Tensor:
    """Make one vector a tile of a network's unpooled features.

    Args:
        features: (B, tokens, dim), class token first, then registers, then patches; or a map
            (B, dim, height, width).
        pool: `avg`: mean over patch tokens or over the map; `token`: the class token; `cls+mean`:
            the class token beside the mean of patch tokens.
        prefix_tokens: Class token and registers: tokens that are no patches.
        channels_last: The map is (B, height, width, dim).

    Returns:
        (B, dim), or (B, 2 dim) for `cls+mean`.

    Raises:
        RuntimeError: The features have no class token, and `pool` needs one.
    """
    if features.ndim == 4 and pool == "avg":
        return features.mean((1, 2) if channels_last else (2, 3))
    if features.ndim != 3 or (pool != "avg" and prefix_tokens < 1):
        raise RuntimeError(f"no class token in features of shape {tuple(features.shape)}")
    mean = features[:, prefix_tokens:].mean(1)
    if pool == "avg":
        return mean
    return features[:, 0] if pool == "token" else torch.cat([features[:, 0], mean], 1)
