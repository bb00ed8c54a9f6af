"""Encoders of a plan, loaded and measured in a process of their own.

torch takes seconds to import, during which slides are opened here.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from histo_ray.config import ExtractConfig
from histo_ray.deferred import deferred
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.errors import ConfigError
from histo_ray.extract.batch_ladder import BatchLadder, load_ladders
from histo_ray.extract.encoder_plan import plan_encoders
from histo_ray.extract.plan_processes import ProcessPool
from histo_ray.types import EncoderFacts


class RunShape(Protocol):
    """The processes of a run."""

    @property
    def readers(self) -> int:
        """Processes that read slides."""

    @property
    def niceness(self) -> int:
        """Above 0 where they share their cores with encoders."""

    @property
    def encoders(self) -> int:
        """Processes that encode tiles."""

    @property
    def encoder_gpus(self) -> float:
        """GPUs of each of these."""

    @property
    def threads(self) -> int:
        """CPU threads of each of these."""

    @property
    def batch_size(self) -> int:
        """Tiles encoded at once."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The same of each tiling, where the run has several."""

    def batch_of(self, group: int) -> int:
        """Tiles encoded at once of one of the run's tilings."""


@dataclass(frozen=True)
class Loaded:
    """Encoders that are loaded, and the shape of a run on this machine."""

    workers: RunShape
    """Processes of a run on this machine."""
    facts: list[EncoderFacts]


class EncoderProbe:
    """Encoders that are loaded beside this process, until closed."""

    def __init__(
        self, config: ExtractConfig, specs: Sequence[EncoderSpec], shape: Callable[[int], RunShape]
    ) -> None:
        """Start to load.

        Args:
            config: The extraction.
            specs: Its encoders.
            shape: From a number of GPUs to the processes of a run on this machine.
        """
        self._pool = ProcessPool(1, _settle, "spawn")
        with _environment(ENVIRONMENT):
            self._loaded: Future[Loaded] = self._pool.submit(_load, config, specs, shape)

    def close(self) -> None:
        """End the process."""
        self._pool.close()

    def look(self) -> None:
        """Raise the error of loading at once, if it failed.

        Raises:
            ConfigError: Weights that cannot be had, or no device as asked for.
        """
        if self._loaded.done():
            self.loaded()

    def loaded(self) -> Loaded:
        """Wait until the encoders are there.

        Raises:
            ConfigError: Weights that cannot be had, or no device as asked for.
        """
        return _result(self._loaded)

    def time_encoding(
        self, pixels: npt.NDArray[np.uint8], batch_size: int, names: Sequence[str] = ()
    ) -> float:
        """Seconds that a tile takes in some encoders together, or in all, in a full batch."""
        return _result(self._pool.submit(_time_encoding, pixels, batch_size, names))


R = TypeVar("R")
count_gpus = deferred("torch.cuda:device_count")
_encoders: dict[str, tuple[BatchLadder, EncoderFacts]] = {}
"""Those of the process that this module runs in."""


def _result(future: "Future[R]") -> R:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ConfigError(
            "the process that loads the encoders died, as it does when memory runs out; close "
            "other programs, or open no slide (--no-open, open_slides=False), which loads none"
        ) from None


def _settle() -> None:
    """Set nothing: torch keeps to the threads that it is given."""


def _load(
    config: ExtractConfig, specs: Sequence[EncoderSpec], shape: Callable[[int], RunShape]
) -> Loaded:
    workers = shape(count_gpus())
    for encoder, about in load_ladders(config, specs, plan_encoders(config, workers)):
        _encoders[about.name] = encoder, about
    return Loaded(workers, [about for _, about in _encoders.values()])


def _time_encoding(pixels: npt.NDArray[np.uint8], batch_size: int, names: Sequence[str]) -> float:
    for _ in range(2):  # the first time warms up
        began = time.monotonic()
        for encoder, about in (_encoders[name] for name in names or _encoders):
            encoder.encode(pixels, batch_size, about.dtype)
        seconds = time.monotonic() - began
    return seconds / batch_size


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables of the processes that start meanwhile, where the user has not set them."""
    own = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
