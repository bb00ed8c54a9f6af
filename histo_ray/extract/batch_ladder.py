"""An encoder whose batch is halved where the memory of its GPU does not suffice.

Halving keeps to a fixed ladder, powers of two down to 1, so that a network sees few shapes, and
each for long: kernels are chosen by shape.
"""

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.config import RunSettings
from histo_ray.deferred import deferred
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.encode_pass import TilePass
from histo_ray.encoders.load import LoadedEncoder
from histo_ray.encoders.tile_groups import group_encoders
from histo_ray.errors import DeviceMemoryError
from histo_ray.extract.encoder_plan import EncoderPlan
from histo_ray.extract.loading import load_run_encoders
from histo_ray.extract.slide import encode_block
from histo_ray.types import EncoderFacts, Floats

name_device_errors = deferred("histo_ray.encoders.device_errors:name_device_errors")
release_memory = deferred("histo_ray.encoders.device_errors:release_memory")


class BatchLadder:
    """One encoder, and the most tiles that it has been found to take at once."""

    def __init__(self, encoder: LoadedEncoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._warm_up_s = 0.0
        self.limit: int | None = None
        """Most tiles at once; None: no bound was met."""

    @property
    def device_s(self) -> float:
        """Seconds that the GPU has computed since the warm-up; 0 on CPU."""
        return self._encoder.device_s - self._warm_up_s

    def warm_up(self, tile_px: int, batch_size: int) -> None:
        """Encode a full batch of black tiles, so that memory runs out now if it is going to.

        Raises:
            DeviceMemoryError: Not even one tile fits.
        """
        if self._encoder.fixed_tiles is None:
            self.encode(
                np.zeros((batch_size, tile_px, tile_px, 3), np.uint8), batch_size, "float32"
            )
            self._warm_up_s = self._encoder.device_s

    def start_clock(self) -> None:
        """Count what the GPU computes from now on."""
        self._warm_up_s = self._encoder.device_s

    def encode(
        self, pixels: npt.NDArray[np.uint8] | TilePass, batch_size: int, dtype: str
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Encode tiles as `encode_block` does, in smaller batches where memory runs out.

        Raises:
            DeviceMemoryError: Not even one tile fits.
            DeviceError: The GPU failed.
        """
        while True:
            size = min(batch_size, self.limit or batch_size)
            try:
                with name_device_errors(self._encoder.device, "out of memory"):
                    return encode_block(self._encoder, pixels, size, dtype)
            except DeviceMemoryError:
                pass  # what its traceback holds of the GPU's memory is free after this block
            self._halve(size)

    def _halve(self, failed: int) -> None:
        """Go one step down from a size that did not fit, unless another thread has."""
        release_memory()
        with self._lock:
            if self.limit is not None and self.limit < failed:
                return
            if failed == 1 or self._encoder.fixed_tiles is not None:
                raise DeviceMemoryError(
                    f"encoder {self._encoder.spec.name!r}: not even one tile at a time fits into "
                    f"the memory of {self._encoder.device}; use a card with more memory, fewer "
                    "encoders in one run, or --device cpu"
                )
            self.limit = step_down(failed)


def step_down(size: int) -> int:
    """Largest power of two below `size`, which is 2 or more."""
    power: int = 1 << ((size - 1).bit_length() - 1)
    return power


def smallest_limit(ladders: Iterable[BatchLadder]) -> int:
    """Fewest tiles that any of the encoders takes at once; 0 where no bound was met."""
    return min((ladder.limit for ladder in ladders if ladder.limit), default=0)


def load_ladders(
    config: RunSettings, specs: Sequence[EncoderSpec], plan: EncoderPlan
) -> list[tuple[BatchLadder, EncoderFacts]]:
    """Load the encoders of a run as planned, and warm them up once all are loaded.

    Raises:
        ConfigError: Weights that cannot be had, a broken tile contract, or no such GPU.
        DeviceMemoryError: Weights, or one tile beside them, do not fit.
        DeviceError: The GPU failed.
    """
    groups = group_encoders(config, specs)
    loaded: dict[str, tuple[BatchLadder, EncoderFacts]] = {}
    for group in groups:
        new = [spec for spec in group.specs if spec.name not in loaded]
        for spec, (encoder, facts) in zip(
            new, load_run_encoders(group.settings, new, plan), strict=True
        ):
            loaded[spec.name] = BatchLadder(encoder), facts
    for at, group in enumerate(groups):
        for spec in group.specs:
            loaded[spec.name][0].warm_up(group.settings.tile_px, plan.batch_of(at))
    for ladder, _ in loaded.values():  # encoders on one GPU may share a clock
        ladder.start_clock()
    return list(loaded.values())
