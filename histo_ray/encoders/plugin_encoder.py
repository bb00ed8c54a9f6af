"""The encoder that runs where a Python plugin encodes: its code, held to what it states."""

import threading
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.encoders.base import Device, EncoderSpec, Engine, Precision, check_pixels
from histo_ray.encoders.plugins import make_encoder_plugin, plugin_of, spec_from, state
from histo_ray.errors import ConfigError
from histo_ray.plugins import blame

_IDENTITY = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""Mean and std in receipts of a plugin that states no such thing; `preprocessing` says more."""


class PluginEncoder:
    """A plugin's encoder on one device. Build it with `load_plugin_encoder`.

    Its code is called by one thread at a time, and always with as many tiles as a batch has.
    """

    fixed_tiles: int | None = None
    batch_norm_folded = False
    stages = False
    device_s = 0.0
    """What a plugin computes on a GPU is not timed."""

    def __init__(self, spec: EncoderSpec, device: str, precision: Precision, threads: int) -> None:
        """Import, load and try the plugin.

        Raises:
            ConfigError: It is not here, fails, or does not do what it states.
        """
        self._plugin = plugin_of(spec)
        self._encoder = make_encoder_plugin(self._plugin)
        self._one_at_a_time = threading.Lock()
        kind: Literal["cpu", "cuda"] = "cuda" if device == "cuda" else "cpu"
        with blame(self._plugin, f"load({kind!r})"):
            self._encoder.load(kind, threads)
        stated = state(self._plugin, self._encoder)
        if stated.weights_sha256 is None:
            raise ConfigError(
                f"{self._plugin.describe()}: it is loaded and states no weights_sha256, by which "
                "stores tell encoders of one name apart; have spec() state the SHA-256 of the "
                "weights once they are loaded (histo_ray.encoders.weights.digest_weights makes one "
                "of a state_dict)"
            )
        if spec.weights_sha256 not in (None, stated.weights_sha256):
            raise ConfigError(
                f"{self._plugin.describe()}: it stated the weights {spec.weights_sha256[:12]} and "
                f"has loaded {stated.weights_sha256[:12]}; every process needs the same file"
            )
        if precision not in ("auto", stated.precision):
            raise ConfigError(
                f"{self._plugin.describe()}: it computes in {stated.precision}, and --precision "
                f"{precision} cannot change that; leave it out"
            )
        self.spec = spec_from(self._plugin, stated, spec.name, spec.request)
        if stated.mean is None:
            mean, std = _IDENTITY
            self.spec = self.spec.model_copy(update={"mean": mean, "std": std})
        self.weights_sha256 = stated.weights_sha256
        self.precision = stated.precision
        self.dim = stated.dim
        self.device = "cpu" if kind == "cpu" else f"cuda ({torch.cuda.get_device_name()})"
        px = spec.tile_px[0] if isinstance(spec.tile_px, tuple) else spec.tile_px
        side = px or stated.input_px
        self.encode(np.zeros((2, side, side, 3), np.uint8))

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode tiles.

        Args:
            pixels: (B, height, width, 3) RGB.

        Returns:
            (B, dim). Not checked for being finite.

        Raises:
            ConfigError: `pixels` are of another shape or type, or the plugin fails or returns
                something else than it states.
        """
        tiles = check_pixels(pixels).view()
        tiles.flags.writeable = False
        with self._one_at_a_time, blame(self._plugin, "encode()"):
            found: object = self._encoder.encode(tiles)
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
            told = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
            raise ConfigError(
                f"{self._plugin.describe()}: encode() returns {told}; return a numpy array of "
                "float32 (of a torch tensor: .float().cpu().numpy())"
            )
        if found.shape != (len(tiles), self.dim):
            raise ConfigError(
                f"{self._plugin.describe()}: encode() returns the shape {found.shape} for "
                f"{len(tiles)} tiles, and spec() states dim {self.dim}; return "
                f"({len(tiles)}, {self.dim}), or correct dim"
            )
        return found.astype(np.float32, copy=False)


def load_plugin_encoder(
    spec: EncoderSpec,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: Engine = "torch",
) -> PluginEncoder:
    """Load the encoder of a plugin, ready to run; arguments as those of `load_encoder`.

    Raises:
        ConfigError: The plugin is not here, fails, or does not do what it states; no such device.
    """
    if engine != "torch":
        raise ConfigError(
            f"{plugin_of(spec).describe()}: it runs its own code, and --engine {engine} cannot "
            "change that; leave it out"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"encoder {spec.name!r}: --device cuda asks for a GPU, and torch sees none here; "
            "leave it out, or pass --device cpu"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return PluginEncoder(spec, device, precision, threads or torch.get_num_threads())
