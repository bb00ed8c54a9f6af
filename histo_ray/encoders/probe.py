"""Describe devices and model hub as this machine sees them; for `doctor`."""

import os
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants

from histo_ray.encoders.hub import is_reachable


def describe_devices() -> tuple[str, bool]:
    """The devices torch sees, in words, and whether one is a GPU."""
    version = f"torch {torch.__version__}"
    if not torch.cuda.is_available():
        engines = version
        if find_spec("openvino") is not None:
            engines += f", OpenVINO {distribution_version('openvino')}"
        told = f"none, encoders run on {os.cpu_count()} CPU cores ({engines})"
        return told + (_FASTER if computes_bfloat16() else ""), False
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{', '.join(names)} ({version}, CUDA {torch.version.cuda})", True


_FASTER = "; this CPU has AMX: --precision bfloat16 is several times as fast, to coarser vectors"


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 by itself (AMX), as far as torch knows."""
    tell: Any = getattr(torch.cpu, "get_capabilities", dict)  # of newer torch
    return bool(tell().get("amx_bf16"))


def describe_hub() -> tuple[str, bool]:
    """Whether the model hub can be reached, and what the local cache holds."""
    cache = Path(constants.HF_HUB_CACHE)
    held = sorted(path.name for path in cache.glob("models--*")) if cache.is_dir() else []
    reachable = is_reachable()
    state = "the model hub answers" if reachable else "the model hub cannot be reached"
    return f"{state}; {len(held)} repositories in {cache}", reachable
