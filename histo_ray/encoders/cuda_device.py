"""Whether this process can use the GPU that it was given, and why not."""

import os
import re
from collections.abc import Sequence
from typing import Any

import torch

from histo_ray.errors import ConfigError

_torch: Any = torch
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


def check_cuda(name: str, precision: str) -> None:
    """Refuse to load an encoder on a GPU that torch cannot use, or not in this precision.

    Args:
        name: The encoder.
        precision: Arithmetic that it is to run in.

    Raises:
        ConfigError: With the reason: driver, wheel, visibility, architecture or precision.
    """
    if not torch.cuda.is_available():
        raise ConfigError(
            f"encoder {name!r}: this run (or --device cuda) asks for a GPU, and torch sees none "
            f"here ({explain_missing_gpu()}); run where one is, or pass --device cpu"
        )
    capability, architectures = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    if torch.version.cuda is not None and not runs_on(capability, architectures):
        major, minor = capability
        raise ConfigError(
            f"encoder {name!r}: torch {torch.__version__} was built for {' '.join(architectures)}, "
            f"and {torch.cuda.get_device_name()} is sm_{major}{minor}; install a build of torch "
            "for this GPU, or pass --device cpu"
        )
    if precision == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            f"encoder {name!r}: {torch.cuda.get_device_name()} has no bfloat16 and would emulate "
            "it; use --precision float16 or float32"
        )


def explain_missing_gpu() -> str:
    """Why torch sees no GPU in this process: wheel, driver, or what is visible to it."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} was built without CUDA: install a build with it"
    reason = _ask_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return f"{reason}; for a card in MIG mode without an instance see nvidia-smi -L"
    if not visible.strip():
        return "CUDA_VISIBLE_DEVICES is empty: no GPU is visible to this process"
    if visible.startswith("MIG-"):
        return f"{reason}; CUDA_VISIBLE_DEVICES names the MIG instance {visible}: see nvidia-smi -L"
    return (
        f"{reason}; CUDA_VISIBLE_DEVICES={visible}: does nvidia-smi -L list such a card, and not "
        "one in MIG mode?"
    )


def _ask_driver() -> str:
    """First sentence of what CUDA says when it is started."""
    try:
        _torch.cuda.init()
    except (AssertionError, RuntimeError) as error:
        return " ".join(str(error).split()).split(". ")[0][:200].rstrip(".")
    return "CUDA starts, and shows no device"


def runs_on(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Tell whether a build of torch has code for a GPU.

    Binary code (`sm_`) runs on the same major capability from its minor one on; PTX (`compute_`) on
    every later one, since the driver compiles it; code with an `a` on its own capability only, with
    an `f` within its major one.

    Args:
        capability: (major, minor) of the GPU.
        architectures: `torch.cuda.get_arch_list()`.
    """
    major, minor = capability
    for architecture in architectures:
        found = _ARCHITECTURE.fullmatch(architecture)
        if found is None:
            continue
        kind, only = found[1], found[4]
        its_major, its_minor = int(found[2]), int(found[3])
        if only == "a":
            fits = (its_major, its_minor) == capability
        elif kind == "compute" and not only:
            fits = (its_major, its_minor) <= capability
        else:
            fits = its_major == major and its_minor <= minor
        if fits:
            return True
    return False


def switch_tf32_off() -> None:
    """Have float32 mean IEEE float32 on the GPU in this process, in matmuls and convolutions.

    torch lets convolutions round their inputs to 10 bits (TF32) unless it is told not to.
    """
    cuda, cudnn = _torch.backends.cuda, _torch.backends.cudnn
    if not hasattr(cudnn, "conv"):  # before torch 2.9
        cuda.matmul.allow_tf32 = cudnn.allow_tf32 = False
        return
    for operation in (cuda.matmul, cudnn.conv, cudnn.rnn):  # all: torch refuses a mixture later
        operation.fp32_precision = "ieee"
