"""NVIDIA's driver as its own library (NVML) describes it, whatever torch was built for."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
NOT_LOADED = 9
"""NVML's code for a machine that has the library, and no driver: no GPU."""


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`."""

    _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))


@dataclass(frozen=True)
class Driver:
    """A driver that is loaded on this machine."""

    version: str = ""
    cuda: tuple[int, int] = (0, 0)
    """Newest CUDA that it serves."""
    cards: int = 0
    """GPUs that it sees, whatever is visible to this process; a card in MIG mode is one."""
    problem: str = ""
    """Why it does not answer; empty if it does."""


def find_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver | None:
    """Ask NVML for the driver; None where there is none.

    Args:
        load: Opens the library.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        return None
    code = library.nvmlInit_v2()
    if code == NOT_LOADED:
        return None
    if code:
        explain = library.nvmlErrorString
        explain.restype = ctypes.c_char_p
        reason = explain(code) or b""
        return Driver(problem=reason.decode(errors="replace") or f"NVML error {code}")
    try:
        text = ctypes.create_string_buffer(96)
        library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text)))
        cuda, cards = ctypes.c_int(0), ctypes.c_uint(0)
        library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(cuda))
        library.nvmlDeviceGetCount_v2(ctypes.byref(cards))
    finally:
        library.nvmlShutdown()
    newest = (cuda.value // 1000, cuda.value % 1000 // 10)
    return Driver(text.value.decode(errors="replace"), newest, cards.value)


def list_free_memory(load: Callable[[str], Any] = ctypes.CDLL) -> list[int]:
    """Free bytes of each card of this machine, without using one; of none that cannot tell.

    Args:
        load: Opens the library.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        return []
    if library.nvmlInit_v2():
        return []
    free = []
    try:
        cards = ctypes.c_uint(0)
        library.nvmlDeviceGetCount_v2(ctypes.byref(cards))
        for index in range(cards.value):
            card, memory = ctypes.c_void_p(), _Memory()
            code = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(card))
            if not (code or library.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory))):
                free.append(int(memory.free))
    finally:
        library.nvmlShutdown()
    return free
