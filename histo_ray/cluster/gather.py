"""The first answers of processes that were just started."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from histo_ray.cluster.membership import explain_last, restart_after_failure
from histo_ray.cluster.pool import PooledActor, kill_actors, original_error
from histo_ray.errors import DeviceError, DeviceMemoryError, HistoRayError

LATE_S = 30.0
"""So long a run waits for further processes once the first is there."""
TRIES = 3
"""So often a process may die while it starts."""
NONE_READY_S = 120
"""Between warnings that no process is ready."""
PING_S = 0.2
"""Between pings of a process that died."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gathered:
    """What came of asking processes."""

    answers: dict[PooledActor, Any] = field(default_factory=dict)
    """What was answered, by process."""
    left_out: dict[PooledActor, Exception] = field(default_factory=dict)
    """Those whose GPU is of no use, and why; they are ended."""


@dataclass(frozen=True)
class _Call:
    member: PooledActor
    tries: int
    asked: bool
    """Whether it is the question itself; else only whether the process is there again."""


def gather(
    members: Sequence[PooledActor], ask: Callable[[PooledActor], Any], kind: str
) -> Gathered:
    """Call all; the results of those that return at most LATE_S after the first.

    One whose process died, or was ended because its GPU failed, is called again once it is back.

    Raises:
        HistoRayError: A process dies whenever it is asked, or no GPU is of any use.
    """
    found = Gathered()
    calls = {ask(member): _Call(member, 1, asked=True) for member in members}
    began, warned, late = time.monotonic(), 0, float("inf")
    while calls and time.monotonic() < late:
        done, _ = ray.wait(list(calls), timeout=1.0)
        for ref in done:
            call = calls.pop(ref)
            again = _take_answer(ref, call, kind, found)
            if again is not None:
                member = again.member
                calls[ask(member) if again.asked else member.handle.node.remote()] = again
            if call.member in found.answers:
                late = min(late, time.monotonic() + LATE_S)
        waited = int(time.monotonic() - began)
        if not found.answers and waited >= warned + NONE_READY_S:
            warned = waited
            _log.warning(
                "%ss: none is ready after %d s; weights are being fetched, or the cluster has no "
                "room for its process (see ray status)",
                kind,
                waited,
            )
    if found.left_out and not found.answers:
        raise explain_last(next(reversed(found.left_out.values())))
    in_order = {member: found.answers[member] for member in members if member in found.answers}
    return Gathered(in_order, found.left_out)


def _take_answer(ref: Any, call: _Call, kind: str, found: Gathered) -> _Call | None:
    """Note what a call came to; what to call next, if anything."""
    member = call.member
    try:
        answer = ray.get(ref)
    except RayTaskError as error:
        why = original_error(error)
        if not isinstance(why, DeviceError | DeviceMemoryError):
            raise why from None
        if not restart_after_failure(member, why):
            found.left_out[member] = why
            _log.warning("run: a node's process is left out, the others go on: %s", why)
            kill_actors([member])
            return None
    except RayActorError as error:
        if call.asked and call.tries >= TRIES:
            raise HistoRayError(
                f"{kind}: its process died {call.tries} times while it started "
                f"({str(error).splitlines()[0]}); is there enough memory? see Ray's logs"
            ) from None
        time.sleep(PING_S)
        return _Call(member, call.tries + call.asked, asked=False)
    else:
        if not call.asked:
            return _Call(member, call.tries, asked=True)
        found.answers[member] = answer
        return None
    return _Call(member, call.tries, asked=False)
