"""Workers that train one network together: each computes a share of every batch."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.distributed as dist


class WorkerGroup(Protocol):
    """The workers that share each batch, as one of them sees the group."""

    rank: int
    size: int

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor, in place, by its sum over all workers."""

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor, in place, by the first worker's."""


class Solo:
    """One worker alone."""

    rank = 0
    size = 1

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Nothing to add."""

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Nothing to copy."""


class ProcessGroup:
    """The workers of torch's default process group."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Sum over all workers; one message for all tensors of one type."""
        for dtype in sorted({t.dtype for t in tensors}, key=str):
            same = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in same])
            dist.all_reduce(flat)
            parts = torch.split(flat, [t.numel() for t in same])
            for tensor, part in zip(same, parts, strict=True):
                tensor.copy_(part.reshape(tensor.shape))

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Send the first worker's to all."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)
