"""Device on which batches are computed: CPU threads side by side, or one GPU."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from histo_ray.encoders.base import Device, Precision
from histo_ray.errors import ConfigError
from histo_ray.finetune.schedule import share

T = TypeVar("T")
LANE_TILES = 8
"""A CPU thread takes at least so many tiles of a batch."""
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Compute:
    """One device. On CPU each thread takes a part of every batch through the whole network."""

    def __init__(
        self,
        device: Device = "auto",
        threads: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        """Choose the device.

        Args:
            device: `auto` (the GPU, if one is visible), `cpu` or `cuda`.
            threads: CPU threads; None: torch's choice.
            precision: `auto`: float32 on CPU; on GPU bfloat16 where it has it, else float16.

        Raises:
            ConfigError: No GPU is visible and one was asked for.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "device cuda: no GPU is visible here; run on a machine that has one, or pass "
                "--device cpu"
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if precision == "auto" and device == "cuda":
            natively = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bfloat16" if natively else "float16"
        self.device = torch.device(device)
        self.precision = "float32" if precision == "auto" else precision
        self.threads = threads or torch.get_num_threads()
        self._lanes = ThreadPoolExecutor(self.threads, "finetune", torch.set_num_threads, (1,))
        self._whole = ThreadPoolExecutor(
            1, "finetune", torch.set_num_threads, (self.threads,)
        )  # all threads share one batch, for what needs all of it
        self.deterministic: bool | None = None
        """Whether the same run gives the same bits on this GPU; None: not known yet, or on CPU,
        where it does."""

    def split(self, work: Callable[[slice], T], count: int, whole: bool = False) -> list[T]:
        """Do `work` on the pieces of `count` tiles, side by side on CPU.

        Args:
            work: Takes the tiles of a slice.
            count: Tiles.
            whole: In one piece, as batch statistics need it.

        Returns:
            The results in order; one on GPU.
        """
        if self.device.type != "cpu":
            return [work(slice(0, count))]
        if whole:
            return [self._whole.submit(work, slice(0, count)).result()]
        parts = max(1, min(self.threads, count // LANE_TILES))
        return list(self._lanes.map(work, (share(count, p, parts) for p in range(parts))))

    def autocast(self) -> torch.autocast:
        """Mixed arithmetic, where the precision asks for it."""
        mixed = self.precision != "float32"
        return torch.autocast(self.device.type, _DTYPES[self.precision], enabled=mixed)

    def describe(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            known = {None: "", True: ", deterministic", False: ", not deterministic"}
            return f"{torch.cuda.get_device_name()}, {self.precision}{known[self.deterministic]}"
        return f"cpu, {self.threads} threads, {self.precision}"


def read_ahead(read: Callable[[int], T], span: range, loaders: int) -> Iterator[T]:
    """Yield `read(i)` for each i in order, while threads read the next ones.

    Args:
        read: Run in `loaders` threads.
        span: What to read.
        loaders: Threads; as many results wait at most, besides those being read.
    """
    with ThreadPoolExecutor(loaders, "load", torch.set_num_threads, (1,)) as pool:
        waiting: list[Future[T]] = []
        ahead = iter(span)
        try:
            for _ in span:
                while len(waiting) <= 2 * loaders and (i := next(ahead, None)) is not None:
                    waiting.append(pool.submit(read, i))
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
