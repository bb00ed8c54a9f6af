"""Notices resampled position embeddings: with one, a network is not the one that was trained."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RESAMPLERS = (functional.interpolate, functional.grid_sample)


class ResamplingWatch(TorchFunctionMode):
    """While entered, notes what this thread resamples whose first axis has length 1.

    timm resamples a position embedding as an image of batch 1; with two tiles or more in a batch,
    the features of tiles are told from it by that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        """(height, width) of grids before and after."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> Any:
        """Run `func` as it is; note it if it resamples one grid to another."""
        result = func(*args, **(kwargs or {}))
        if func in _RESAMPLERS and args and isinstance(args[0], torch.Tensor):
            before, after = tuple(args[0].shape), tuple(result.shape)
            if before[0] == 1 and before[-2:] != after[-2:]:
                self.seen.append((before[-2:], after[-2:]))
        return result

    def describe(self) -> str:
        """The first grid that was resampled, as "37x37 to 16x16"; empty if none was."""
        if not self.seen:
            return ""
        (rows, columns), (new_rows, new_columns) = self.seen[0]
        return f"{rows}x{columns} to {new_rows}x{new_columns}"
