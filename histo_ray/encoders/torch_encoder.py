"""The encoder that runs: a timm network, from uint8 tiles to float32 vectors.

torch runs it, on CPU or GPU; on CPU OpenVINO may take torch's place for the network itself.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histo_ray.encoders.base import Device, EncoderSpec, Engine, Precision, check_pixels
from histo_ray.encoders.cuda_device import check_cuda, switch_tf32_off
from histo_ray.encoders.device_errors import name_device_errors
from histo_ray.encoders.folding import fold_batch_norms
from histo_ray.encoders.gpu_queue import GpuQueue, StagedTiles
from histo_ray.encoders.half_weights import hold_in_half
from histo_ray.encoders.network_ends import (
    REFUSALS,
    Normaliser,
    PooledNetwork,
    average_orientations,
    describe_size,
    fit_tiles,
)
from histo_ray.encoders.openvino_network import OpenVinoNetwork, openvino_version
from histo_ray.encoders.positions import ResamplingWatch
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.transformers_network import build_transformers
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError

_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
SMALL_WEIGHTS = 50_000_000
"""Weights below which a network is folded and probed on one core: threads that have so little to
do spend more time on waiting for each other, and on a busy machine several times as much."""
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
        self,
        spec: EncoderSpec,
        network: nn.Module,
        device: Device,
        precision: str,
        threads: int,
        engine: Engine = "torch",
    ) -> None:
        """Take over `network`: it is folded, moved, probed and given to its engine."""
        self.spec = spec
        self.weights_sha256 = digest_weights(network.state_dict())
        self.precision = precision
        self.batch_norm_folded = fold_batch_norms(network) > 0
        if device == "cuda" and precision != "float32":
            hold_in_half(network, _DTYPES[precision])
        self._device = torch.device(device)
        self.device = "cpu" if device == "cpu" else f"cuda ({torch.cuda.get_device_name()})"
        with name_device_errors(self.device, self._describe_weights(network)):
            pooled = PooledNetwork(network, spec.pool).eval().to(self._device)
            self._network: Any = pooled.to(memory_format=torch.channels_last)
            self._normaliser = Normaliser(spec, self._device)
        side = spec.input_px or 224
        fewest, most = LANE_TILES
        self.fixed_tiles = (
            max(fewest, min(most, LANE_PIXELS // side**2)) if device == "cpu" else None
        )
        self._lanes = ThreadPoolExecutor(threads, "encode", torch.set_num_threads, (1,))
        self._gpu = GpuQueue.on(self._device) if device == "cuda" else None
        self._compiled: OpenVinoNetwork | None = None
        self.dim = self._probe()
        self.spec = spec.model_copy(update={"dim": self.dim})
        if self._gpu is not None:
            self._gpu.device_s = 0.0  # that of the probe is the start's
        elif engine == "openvino":
            self.device = f"cpu, OpenVINO {openvino_version()}"
            shape = (self.fixed_tiles or 1, 3, side, side)
            self._compiled = OpenVinoNetwork(self._network, shape, precision, threads)
            self._network = None

    def _describe_weights(self, network: nn.Module) -> str:
        """Say that the weights do not fit into the GPU's memory, and what helps."""
        size_bytes = sum(value.nbytes for value in network.state_dict().values())
        return (
            f"encoder {self.spec.name!r}: its weights ({size_bytes / 1e9:.1f} GB) do not fit into "
            f"the free memory of {self.device}; use a card with more memory, fewer encoders in one "
            "run, or --device cpu"
        )

    @property
    def device_s(self) -> float:
        """Seconds that the GPU has computed; 0 on CPU."""
        return 0.0 if self._gpu is None else self._gpu.device_s

    @property
    def stages(self) -> bool:
        """Whether tiles are brought to a GPU once for all encoders there (`TilePass`)."""
        return self._gpu is not None

    def stage(self, blocks: Sequence[npt.NDArray[np.uint8]], size: int) -> StagedTiles:
        """Bring a batch of `size` tiles to the GPU, those that are missing being black.

        Raises:
            RuntimeError: This encoder is on CPU.
        """
        if self._gpu is None:
            raise RuntimeError(f"encoder {self.spec.name}: on CPU there is nothing to stage")
        return self._gpu.stage(blocks, size)

    def encode_staged(self, staged: StagedTiles) -> npt.NDArray[np.float32]:
        """Vectors of the tiles that were given to `stage`, by whichever encoder on this GPU.

        Raises:
            RuntimeError: This encoder is on CPU.
        """
        if self._gpu is None:
            raise RuntimeError(f"encoder {self.spec.name}: on CPU there is nothing to stage")
        with torch.inference_mode():
            return self._gpu.run(staged, self._compute)

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode tiles.

        Args:
            pixels: (B, height, width, 3) RGB; tiles of another size than the encoder's are
                resized on the device, with a filter that spans all px when shrinking, and cut
                to their centre where the encoder asks for that (`resize_px`).

        Returns:
            (B, dim). Not checked for being finite.

        Raises:
            ConfigError: `pixels` are of another shape or type.
        """
        pixels = check_pixels(pixels)
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
        with torch.inference_mode():
            if self._gpu is not None:
                return self._gpu.run(self._gpu.stage([pixels], len(pixels)), self._compute)
            writable = np.require(pixels, np.uint8, ["C", "W"])  # torch warns of read-only memory
            tiles = torch.from_numpy(writable)
            if self._compiled is not None:
                return self._run_compiled(self._compiled, self._normalise(tiles))
            return cast("npt.NDArray[np.float32]", self._compute(tiles).numpy())

    def _compute(self, tiles: torch.Tensor) -> torch.Tensor:
        """Vectors of (B, height, width, 3) uint8 tiles, all on the device."""
        values = self._normalise(tiles)
        mixed = self.precision != "float32"
        with torch.autocast(self._device.type, _DTYPES[self.precision], enabled=mixed):
            return average_orientations(self._network, values, self.spec.rotations)

    def _run_compiled(
        self, compiled: OpenVinoNetwork, values: torch.Tensor
    ) -> npt.NDArray[np.float32]:
        if self.spec.rotations is None:
            return compiled(values.contiguous())
        return average_orientations(
            lambda turned: torch.from_numpy(compiled(turned.contiguous())),
            values,
            self.spec.rotations,
        ).numpy()

    def _normalise(self, tiles: torch.Tensor) -> torch.Tensor:
        values = tiles.permute(0, 3, 1, 2).to(torch.float32)
        return self._normaliser(fit_tiles(values, self.spec))

    def _probe(self) -> int:
        """Length of a vector, from two black tiles."""
        side = self.spec.input_px or 224
        no_memory = f"encoder {self.spec.name!r}: not even two tiles fit beside its weights into "
        no_memory += f"the memory of {self.device}; use a card with more memory, or --device cpu"
        try:
            with ResamplingWatch() as watch, name_device_errors(self.device, no_memory):
                shape = self._encode_at_once(np.zeros((2, side, side, 3), np.uint8)).shape
        except REFUSALS as error:
            raise describe_size(self.spec, side, error) from None
        self._check_positions(side, watch.describe())
        if len(shape) != 2:
            raise ConfigError(
                f"encoder {self.spec.name!r}: {self.spec.architecture} returns an array of shape "
                f"{shape[1:]} a tile, not one vector; choose pool=token, avg or cls+mean"
            )
        if self.spec.dim not in (None, shape[1]):
            raise ConfigError(
                f"encoder {self.spec.name!r}: its vectors have {shape[1]} numbers, and its entry "
                f"in the encoder table says {self.spec.dim}; correct pool or dim"
            )
        return int(shape[1])

    def _check_positions(self, side: int, resampled: str) -> None:
        """Refuse a network that resamples its position embedding for each batch.

        Some do that at the size they were trained at, too, and are taken; random weights have
        learned no positions.
        """
        embed = getattr(self._network.network, "patch_embed", None)
        size = getattr(embed, "img_size", None)
        if not resampled or self.spec.source == "random" or size in (None, (side, side)):
            return
        patch = (getattr(embed, "patch_size", None) or (1,))[0]
        raise ConfigError(
            f"encoder {self.spec.name!r}: on tiles of {side} px the network would resample its "
            f"position embedding ({resampled}) for every batch, which changes every vector; give "
            f"it px={size[0]}, the size it was built for, or img_size={-(-side // patch) * patch} "
            "to have it resampled once, which every receipt then says"
        )


def load_encoder(
    spec: EncoderSpec,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: Engine = "torch",
) -> TorchEncoder:
    """Load an encoder, ready to run.

    Args:
        spec: From `resolve`.
        device: `auto`: the GPU if this process sees one.
        precision: `auto`: float32 on CPU, float16 (autocast) on GPU.
        threads: CPU threads that encode side by side; None: torch's choice, a core each.
        engine: What runs the network; `openvino`: on CPU only, and only where it is installed.

    Raises:
        ConfigError: The device or the engine is not there, or the weights cannot be had or do not
            fit.
        DeviceError: The GPU failed.
    """
    if engine == "openvino":
        if device == "cuda":
            raise ConfigError(
                f"encoder {spec.name!r}: --engine openvino runs on CPUs only, and --device cuda "
                "asks for a GPU; leave out one of them"
            )
        device = "cpu"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "float16" if device == "cuda" else "float32"
    no_memory = f"encoder {spec.name!r}: no memory is left on the GPU; see who uses it (nvidia-smi)"
    with name_device_errors("cuda", no_memory):
        if device == "cuda":
            check_cuda(spec.name, precision)
            if precision == "float32":
                switch_tf32_off()
        build = build_transformers if spec.library == "transformers" else build_network
        threads = threads or torch.get_num_threads()
        network, complete = build(spec)
        with _one_thread() if device == "cpu" and _is_small(network) else nullcontext():
            return TorchEncoder(complete, network, device, precision, threads, engine)


def _is_small(network: nn.Module) -> bool:
    return sum(weights.numel() for weights in network.parameters()) < SMALL_WEIGHTS


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch work on one core meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
