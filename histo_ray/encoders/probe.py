"""What this machine offers to encoders; for `doctor`."""

import os
from pathlib import Path


def describe_devices() -> tuple[str, bool]:
    """The devices torch sees, in words, and whether one is a GPU."""
    import torch

    version = f"torch {torch.__version__}"
    if not torch.cuda.is_available():
        return f"none, encoders run on {os.cpu_count()} CPU cores ({version})", False
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{', '.join(names)} ({version}, CUDA {torch.version.cuda})", True


def describe_hub() -> tuple[str, bool]:
    """Whether the model hub can be reached, and what the local cache holds."""
    from huggingface_hub import constants

    from histo_ray.encoders.hub import is_reachable

    cache = Path(constants.HF_HUB_CACHE)
    held = sorted(path.name for path in cache.glob("models--*")) if cache.is_dir() else []
    reachable = is_reachable()
    state = "the model hub answers" if reachable else "the model hub cannot be reached"
    return f"{state}; {len(held)} repositories in {cache}", reachable
