"""Ways to start processes that do not import the caller's script.

`multiprocessing` has a started process import the module `__main__` of its parent, so a script
without `if __name__ == "__main__":` would run again in each. What runs in our processes are
functions of this package, which need no `__main__`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context, popen_forkserver, popen_spawn_posix, spawn
from multiprocessing.process import BaseProcess
from typing import Any, Literal

Method = Literal["forkserver", "spawn"]

_OF_MAIN = ("init_main_from_name", "init_main_from_path")
_lock = threading.Lock()


class _ServedProcess(context.ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_forkserver.Popen:  # noqa: N802  as it is called
        with _main_left_out():
            return context.ForkServerProcess._Popen(process_obj)


class _SpawnedProcess(context.SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_spawn_posix.Popen:  # noqa: N802
        with _main_left_out():
            return context.SpawnProcess._Popen(process_obj)


class _ServedContext(context.ForkServerContext):
    Process = _ServedProcess


class _SpawnedContext(context.SpawnContext):
    Process = _SpawnedProcess


def child_context(method: Method) -> context.BaseContext:
    """Context of processes that leave the caller's `__main__` alone.

    Args:
        method: `forkserver`, or `spawn` for a process with an environment of its own.
    """
    return _ServedContext() if method == "forkserver" else _SpawnedContext()


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Leave `__main__` out of what this thread tells a process that it starts meanwhile."""
    starter = threading.get_ident()

    def prepare_without_main(name: str) -> dict[str, Any]:
        data = whole(name)
        if threading.get_ident() == starter:  # another thread may start a process of the caller's
            for key in _OF_MAIN:
                data.pop(key, None)
        return data

    with _lock:
        whole = spawn.get_preparation_data
        spawn.get_preparation_data = prepare_without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = whole
