"""Watch over the head of a cluster: does it still answer?

Ray itself ends a driver that has lost its head after 60 s, with exit code 1 and nothing written.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import ray

from histo_ray.errors import ClusterLostError

GONE_S = 40.0
"""So long a head may be silent that is another machine: it may be started anew."""
GONE_HERE_S = 2.0
"""The same on this machine: what held this process's shared memory is gone with it, and Ray ends
the process at its next touch."""
LOOK_EVERY_S = 1.0
ANSWER_S = 2.0


def head_answers(address: str = "") -> bool:
    """Whether the head takes a connection. Calls that ask it would wait for it without end.

    Args:
        address: Its host:port; empty: that of the cluster this process is connected to.
    """
    place = urlsplit(f"//{address or ray.get_runtime_context().gcs_address}")
    try:
        socket.create_connection((place.hostname, place.port), ANSWER_S).close()
    except OSError:
        return False
    return True


@contextmanager
def watch_head() -> Iterator[None]:
    """Within it, the main thread gets an exception for what would end this process silently.

    SIGTERM, as `ray job stop` and SLURM send it, becomes KeyboardInterrupt; Ray's own handler
    leaves no time to write a run table. A head that stays silent becomes ClusterLostError.
    In other threads than the main one nothing is watched.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    address = ray.get_runtime_context().gcs_address
    mine = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    here = address.rpartition(":")[0] in (mine, "127.0.0.1", "localhost", "[::1]")
    patience_s = GONE_HERE_S if here else GONE_S
    over, lost = threading.Event(), threading.Event()

    def look() -> None:
        silent_s = 0.0
        while silent_s < patience_s:
            if over.wait(LOOK_EVERY_S):
                return
            silent_s = 0.0 if head_answers(address) else silent_s + LOOK_EVERY_S
        lost.set()
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    if head_answers(address):  # that of a cluster behind Ray Client cannot be reached from here
        threading.Thread(target=look, daemon=True).start()
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:  # the latter where Ray's C++ was interrupted
        if lost.is_set():
            raise ClusterLostError(
                f"run: the head of the Ray cluster ({address}) does not answer any more; "
                "start the cluster again, and the same command finishes what is missing"
            ) from None
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)
