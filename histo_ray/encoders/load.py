"""Load an encoder, whatever runs it: a network of timm, or a Python plugin. Imports no torch."""

from typing import TYPE_CHECKING, Union

from histo_ray.deferred import deferred
from histo_ray.encoders.base import Device, EncoderSpec, Engine, Precision

if TYPE_CHECKING:
    from histo_ray.encoders.plugin_encoder import PluginEncoder
    from histo_ray.encoders.torch_encoder import TorchEncoder

LoadedEncoder = Union["TorchEncoder", "PluginEncoder"]
"""An encoder that is ready to run."""

_load_torch = deferred("histo_ray.encoders.torch_encoder:load_encoder")  # torch takes seconds
_load_plugin = deferred("histo_ray.encoders.plugin_encoder:load_plugin_encoder")


def load_encoder(
    spec: EncoderSpec,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: Engine = "torch",
) -> LoadedEncoder:
    """Load an encoder, ready to run.

    Args:
        spec: From `resolve`.
        device: `auto`: the GPU if this process sees one.
        precision: `auto`: float32 on CPU, float16 on GPU; of a plugin what it states.
        threads: CPU threads that encode side by side; None: torch's choice, a core each.
        engine: What runs the network; `openvino`: on CPU only, and only where it is installed.

    Raises:
        ConfigError: The device, the engine or the plugin is not there, the weights cannot be had
            or do not fit, or a plugin fails.
        DeviceError: The GPU failed.
    """
    load = _load_torch if spec.plugin is None else _load_plugin
    loaded: LoadedEncoder = load(
        spec, device=device, precision=precision, threads=threads, engine=engine
    )
    return loaded
