"""Memory of networks on CPU: kept by the process between layers. glibc only; harmless elsewhere.

glibc hands a large block back to the kernel when it is freed, and a network frees one after each
layer: the next layer's is then given anew, page by page, each filled with zeros first. On CPU that
took a tenth of the time of encoding and a third of that of training (docs/benchmarks.md).
"""

import ctypes
import os

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
"""For a process that is to be started: one arena, since others hold no block above 64 MiB; blocks
up to 1 GiB from it; freed memory kept; grown by 64 MiB."""
_PARAMETERS = {
    "MALLOC_ARENA_MAX": -8,
    "MALLOC_MMAP_THRESHOLD_": -3,
    "MALLOC_TRIM_THRESHOLD_": -1,
    "MALLOC_TOP_PAD_": -2,
}
"""Their numbers in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Set `ENVIRONMENT` in this process; what the user set stays.

    To be called before threads start: those that have an arena keep it.

    Returns:
        Whether it was done; False where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = [name for name in ENVIRONMENT if name not in os.environ]
    return all(mallopt(_PARAMETERS[name], int(ENVIRONMENT[name])) for name in wanted)
