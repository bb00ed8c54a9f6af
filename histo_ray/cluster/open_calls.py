"""Calls of a run's processes that are not answered yet."""

from collections.abc import Collection
from typing import Any, NamedTuple

import ray

from histo_ray.cluster.pool import PooledActor
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.work import EncoderBatch, Ping, ReaderJob

Called = ReaderJob | JobGroup | EncoderBatch | Ping
"""What a process is asked for."""

MANY_CALLS = 100
"""From so many open calls on, answers are gathered for `GATHER_S`."""
GATHER_S = 0.02
"""Seconds."""
GATHERED_SHARE = 16
"""The moment ends early when one in so many open calls is answered."""


class OpenCall(NamedTuple):
    """One call: who was asked what."""

    member: PooledActor
    what: Called
    kept: Any = None
    """Reference to what it leaves in the object store for others: pixels or a plan."""


class OpenCalls:
    """Calls by the reference of their answer, and the tiles that they hold.

    The sums are kept as calls come and go: a driver of many processes asks for them all the time.
    """

    def __init__(self) -> None:
        self._calls: dict[Any, OpenCall] = {}
        self.load = 0.0
        """Pixels that they hold or will bring, in tiles of the run's largest size."""
        self.reads = 0
        """Calls that read tiles."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, answer: Any, call: OpenCall) -> None:
        """Note a call that was made."""
        self._calls[answer] = call
        self._count(call, 1)

    def take(self, answer: Any) -> OpenCall:
        """Remove a call that is answered or lost."""
        call = self._calls.pop(answer)
        self._count(call, -1)
        return call

    def wait(self, timeout_s: float) -> Collection[Any]:
        """Wait for answers, at most so long; references of those that are there then.

        Ray looks at every open call each time. Where these are many, answers are gathered for a
        moment, which is short beside the calls that a process has before it.
        """
        pending = list(self._calls)
        if len(pending) >= MANY_CALLS:
            gathered = len(pending) // GATHERED_SHARE
            done, _ = ray.wait(pending, num_returns=gathered, timeout=GATHER_S, fetch_local=False)
            if done:
                return done
        done, rest = ray.wait(pending, num_returns=1, timeout=timeout_s, fetch_local=False)
        if done and rest:
            done += ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)[0]
        return done

    def _count(self, call: OpenCall, sign: int) -> None:
        self.load += sign * call.what.load
        what = call.what
        reads = isinstance(what, ReaderJob) and what.kind == "read"
        self.reads += sign * (reads or (isinstance(what, JobGroup) and what.lead > 0))
