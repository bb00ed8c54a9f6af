"""Deterministic algorithms on a GPU, as far as a network has them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS repeats itself only with workspaces of fixed size; read at its first use."""
_cudnn: Any = torch.backends.cudnn
_fill: Any = torch.utils.deterministic


@contextmanager
def deterministic_algorithms(compute: Compute, attempt: Callable[[], object]) -> Iterator[None]:
    """Force deterministic algorithms for the work within; on CPU nothing is changed.

    Strictly forced, attention's backward takes a deterministic kernel too (otherwise flash and
    memory-efficient attention add up in any order), and an operation that has no such kernel
    raises. Where that happens, only what has one is forced, and `compute.deterministic` is False.

    Args:
        compute: Its `deterministic` says afterwards what could be had.
        attempt: One pass, forward and backward.
    """
    if compute.device.type == "cpu":
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        _cudnn.deterministic, _cudnn.benchmark, _fill.fill_uninitialized_memory,
    )  # fmt: skip
    os.environ.setdefault(WORKSPACE, ":4096:8")
    _cudnn.deterministic, _cudnn.benchmark = True, False
    _fill.fill_uninitialized_memory = False  # costs time, and nothing reads such memory
    try:
        torch.use_deterministic_algorithms(True)
        try:
            attempt()
            compute.deterministic = True
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except RuntimeError:  # torch has no class of its own for it
            compute.deterministic = False
            torch.use_deterministic_algorithms(True, warn_only=True)
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        _cudnn.deterministic, _cudnn.benchmark, _fill.fill_uninitialized_memory = before[2:]


def try_pass(classifier: Classifier, compute: Compute, px: int) -> None:
    """Take two black tiles through the network and back; weights and flags stay as they are."""
    parameters = list(classifier.parameters())
    flags = [parameter.requires_grad for parameter in parameters]
    training = classifier.training
    classifier.eval().requires_grad_(True)
    try:
        tiles = torch.zeros(2, 3, px, px, device=compute.device)
        with compute.autocast():
            logits = classifier(tiles.contiguous(memory_format=torch.channels_last))
        torch.autograd.grad(logits.float().sum(), parameters, allow_unused=True)
    finally:
        classifier.train(training)
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
