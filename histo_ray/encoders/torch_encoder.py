"""The encoder that runs: a timm network on CPU or GPU, from uint8 tiles to float32 vectors."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.encoders.base import Device, EncoderSpec, Pool, Precision
from histo_ray.encoders.folding import fold_batch_norms
from histo_ray.encoders.network import build_network
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError

_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
LANE_PIXELS = 16 * 299 * 299
"""Pixels that one CPU thread takes at once: enough to keep it busy, little enough to share out."""
LANE_TILES = (2, 16)
"""Fewest and most tiles that one CPU thread takes at once."""


class TorchEncoder:
    """A network on one device. Build it with `load_encoder`.

    On CPU each thread takes tiles of its own through the whole network, one small group of fixed
    shape after the other. That is faster than all threads sharing each layer (measured: 1.1 to
    1.2 times on 2 cores), waits for nobody when a thread loses its core for a while, and makes a
    vector the same on any number of cores.
    """

    def __init__(
        self, spec: EncoderSpec, network: nn.Module, device: Device, precision: str, threads: int
    ) -> None:
        """Take over `network`: it is folded (on CPU), moved and probed with one tile."""
        self.spec = spec
        self.weights_sha256 = digest_weights(network.state_dict())
        self.precision = precision
        self.batch_norm_folded = device == "cpu" and fold_batch_norms(network) > 0
        self.device = device if device == "cpu" else f"cuda ({torch.cuda.get_device_name()})"
        self._device = torch.device(device)
        self._network: Any = network.to(self._device).to(memory_format=torch.channels_last)
        mean = torch.tensor(spec.mean, dtype=torch.float32).reshape(1, 3, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float32).reshape(1, 3, 1, 1)
        self._scale = (1 / (255 * std)).to(self._device)
        self._bias = (-mean / std).to(self._device)
        side = spec.input_px or 224
        fewest, most = LANE_TILES
        self.fixed_tiles = (
            max(fewest, min(most, LANE_PIXELS // side**2)) if device == "cpu" else None
        )
        self._lanes = ThreadPoolExecutor(threads, "encode", torch.set_num_threads, (1,))
        self.device_s = 0.0
        """Seconds that the GPU has computed; 0 on CPU."""
        self.dim = self._probe()
        self.device_s = 0.0  # that of the probe is the start's
        self.spec = spec.model_copy(update={"dim": self.dim})

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode tiles.

        Args:
            pixels: (B, height, width, 3) RGB; of another size than the encoder's, they are
                resized on the device, with a filter that spans all px when shrinking.

        Returns:
            (B, dim). Not checked for being finite.
        """
        size = self.fixed_tiles
        if size is None:
            return self._encode_at_once(pixels)
        starts = range(0, len(pixels), size)
        groups = self._lanes.map(lambda start: self._encode_group(pixels[start:], size), starts)
        return np.concatenate([np.empty((0, self.dim), np.float32), *groups])

    def _encode_group(self, pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
        """Vectors of at most `size` tiles; the network always sees `size`."""
        count = min(len(pixels), size)
        if count == size:
            return self._encode_at_once(pixels[:size])
        filled = np.zeros((size, *pixels.shape[1:]), np.uint8)
        filled[:count] = pixels
        return self._encode_at_once(filled)[:count]

    def _encode_at_once(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        writable = np.require(pixels, np.uint8, ["C", "W"])  # torch warns of read-only memory
        with torch.inference_mode():
            tiles = torch.from_numpy(writable).to(self._device).permute(0, 3, 1, 2)
            began = self._mark()
            vectors = self._forward(self._normalise(tiles))
            ended = self._mark()
            encoded: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        if began is not None and ended is not None:  # that copy has waited for both
            self.device_s += began.elapsed_time(ended) / 1000
        return encoded

    def _mark(self) -> torch.cuda.Event | None:
        """A moment of the GPU's queue, which nobody waits for; None on CPU."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _normalise(self, tiles: torch.Tensor) -> torch.Tensor:
        values = tiles.to(torch.float32)
        side = self.spec.input_px
        if side is not None and tuple(values.shape[-2:]) != (side, side):
            mode = self.spec.interpolation or "bicubic"
            values = functional.interpolate(values, (side, side), mode=mode, antialias=True)
            values = values.clamp_(0, 255)  # bicubic overshoots at edges
        return torch.addcmul(self._bias, values, self._scale).contiguous(
            memory_format=torch.channels_last
        )

    def _forward(self, values: torch.Tensor) -> torch.Tensor:
        mixed = self.precision != "float32"
        with torch.autocast(self._device.type, _DTYPES[self.precision], enabled=mixed):
            if self.spec.pool == "timm":
                vectors: torch.Tensor = self._network(values)
                return vectors
            features = self._network.forward_features(values)
        prefix = int(getattr(self._network, "num_prefix_tokens", 0))
        channels_last = getattr(self._network, "output_fmt", "NCHW") == "NHWC"
        return pool_features(features.float(), self.spec.pool, prefix, channels_last)

    def _probe(self) -> int:
        """Length of a vector, from one black tile."""
        side = self.spec.input_px or 224
        try:
            shape = self._encode_at_once(np.zeros((1, side, side, 3), np.uint8)).shape
        except (AssertionError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"encoder {self.spec.name!r}: {self.spec.architecture} does not run on {side} px "
                f"with pool {self.spec.pool!r} ({reason}), an input it takes wanted; mend px, "
                f"img_size={side} or pool in the request"
            ) from None
        if len(shape) != 2 or self.spec.dim not in (None, shape[1]):
            raise ConfigError(
                f"encoder {self.spec.name!r}: gives vectors of shape {shape[1:]}, "
                f"({self.spec.dim or 'dim'},) wanted; mend pool or dim"
            )
        return int(shape[1])


def load_encoder(
    spec: EncoderSpec,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> TorchEncoder:
    """Load an encoder, ready to run.

    Args:
        spec: From `resolve`.
        device: `auto`: the GPU if this process sees one.
        precision: `auto`: float32 on CPU, float16 (autocast) on GPU.
        threads: CPU threads that encode side by side; None: torch's choice, a core each.

    Raises:
        ConfigError: The device is not there, or the weights cannot be had or do not fit.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"encoder {spec.name!r}: no GPU is visible, device cuda wanted; "
            "run where one is, or pass --device cpu"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "float16" if device == "cuda" else "float32"
    network, complete = build_network(spec)
    return TorchEncoder(complete, network, device, precision, threads or torch.get_num_threads())


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
        RuntimeError: The features have no class token and `pool` wants one.
    """
    if features.ndim == 4 and pool == "avg":
        return features.mean((1, 2) if channels_last else (2, 3))
    if features.ndim != 3 or (pool != "avg" and prefix_tokens < 1):
        raise RuntimeError(f"no class token in features of shape {tuple(features.shape)}")
    mean = features[:, prefix_tokens:].mean(1)
    if pool == "avg":
        return mean
    return features[:, 0] if pool == "token" else torch.cat([features[:, 0], mean], 1)
