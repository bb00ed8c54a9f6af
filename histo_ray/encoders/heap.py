"""Memory of networks on CPU: kept by the process between layers. glibc only; harmless elsewhere.

glibc hands a large block back to the kernel when it is freed, and a network frees one after each
layer: the next layer's is then given anew, page by page, each filled with zeros first. On CPU that
took a tenth of the time of encoding and a third of that of training (docs/benchmarks.md). It has to
be told before a process has threads, so by environment variables.
"""

import os
import platform
import sys

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
"""For a process that is to be started: one arena, since others hold no block above 64 MiB; blocks
up to 1 GiB from it; freed memory kept; grown by 64 MiB."""


_MALLOPT = {
    "MALLOC_ARENA_MAX": -8,
    "MALLOC_MMAP_THRESHOLD_": -3,
    "MALLOC_TRIM_THRESHOLD_": -1,
    "MALLOC_TOP_PAD_": -2,
}
"""Numbers of the same settings for glibc's `mallopt`, from its `malloc.h`."""


def keep_memory() -> None:
    """Give this process the settings of `ENVIRONMENT` from now on.

    That takes less than a new start, and does nearly as much where no thread has allocated yet: at
    the beginning of a program. Nothing is changed where the user has set any of it, or where there
    is no glibc.
    """
    if platform.libc_ver()[0] != "glibc" or ENVIRONMENT.keys() & os.environ.keys():
        return
    import ctypes  # of no use to whoever only asks for help

    libc = ctypes.CDLL(None)
    for name, value in ENVIRONMENT.items():
        libc.mallopt(_MALLOPT[name], int(value))


def restart_keeping_memory() -> None:
    """Start this program anew, in the same process, with `ENVIRONMENT`.

    Returns where that is so already, where the user has set any of it, and where there is no glibc.
    """
    if platform.libc_ver()[0] == "glibc" and not ENVIRONMENT.keys() & os.environ.keys():
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ENVIRONMENT})  # noqa: S606 - ourselves
