"""What the plan of a run decides for its encoder processes. Pure."""

from dataclasses import dataclass
from typing import Literal, Protocol

from histo_ray.config import RunSettings

PlannedDevice = Literal["cpu", "cuda"]
PlannedPrecision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class EncoderPlan:
    """Device and arithmetic of every encoder process; one that cannot give them is refused."""

    device: PlannedDevice
    precision: PlannedPrecision
    threads: int
    """CPU threads."""
    batch_size: int
    """Tiles encoded at once."""
    batch_sizes: tuple[int, ...] = ()
    """The same of each tiling, where the run has several."""

    def batch_of(self, group: int) -> int:
        """Tiles encoded at once of one of the run's tilings."""
        return self.batch_sizes[group] if self.batch_sizes else self.batch_size


class EncoderShare(Protocol):
    """As much of `resources.Workers` as an encoder process depends on."""

    @property
    def encoder_gpus(self) -> float:
        """GPUs of each encoder process."""

    @property
    def threads(self) -> int:
        """CPU threads of each."""

    @property
    def batch_size(self) -> int:
        """Tiles encoded at once."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The same of each tiling, where the run has several."""


def plan_encoders(config: RunSettings, workers: EncoderShare) -> EncoderPlan:
    """Decide device and precision once, for all processes and those that come later.

    Where the settings leave the precision open, it is float32 on CPU and float16 on GPU.
    """
    on_gpu = workers.encoder_gpus > 0
    precision = config.precision
    if precision == "auto":
        precision = "float16" if on_gpu else "float32"
    device: PlannedDevice = "cuda" if on_gpu else "cpu"
    return EncoderPlan(device, precision, workers.threads, workers.batch_size, workers.batch_sizes)
