"""Errors that torch raises on a GPU, as errors of ours that say who must act."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from histo_ray.errors import DeviceError, DeviceMemoryError

_ACCELERATOR_ERROR: Any = getattr(torch, "AcceleratorError", ())  # torch 2.7 has none
_LIBRARY_ERRORS = ("CUDA error", "cuDNN error", "CUDNN_", "CUBLAS_")
"""How messages of errors of CUDA's libraries begin: torch gives them no class of their own."""
SHOWN = 200


@contextmanager
def name_device_errors(device: str, memory_problem: str) -> Iterator[None]:
    """Raise errors of ours for what goes wrong on a GPU.

    Args:
        device: The device in words.
        memory_problem: What to say where its memory does not suffice, with the remedy.

    Raises:
        DeviceMemoryError: Out of memory; the process may go on.
        DeviceError: Another error of CUDA; most make every later call fail: the process must end.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise DeviceMemoryError(memory_problem) from None
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        problem = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise DeviceError(device, problem[:SHOWN] or "CUDA error", os.getpid()) from None


def is_device_failure(error: RuntimeError) -> bool:
    """Tell a failure of a GPU or its driver from an error of the program; not out of memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, _ACCELERATOR_ERROR) or str(error).startswith(_LIBRARY_ERRORS)


def release_memory() -> None:
    """Give memory that torch keeps for later back to the GPU, in blocks that another size needs."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
