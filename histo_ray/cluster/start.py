"""From actors that were asked for to a pipeline that works.

It begins with those that are there soon after the first. Others, whose node still fetches weights,
has just died or has no room yet, join while it works.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from histo_ray.cluster.pipeline import PING_S, Pipeline
from histo_ray.cluster.pool import Member, original_error, start_encoders
from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.resources import Workers
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts

LATE_S = 30.0
"""So long a run waits for further processes once the first is there."""
TRIES = 3
"""So often a process may die while it starts."""
PATIENCE_S = 120
"""Between words on processes of which none is there."""

_log = logging.getLogger(__name__)


def start_pipeline(
    config: RunSettings,
    specs: Sequence[EncoderSpec],
    workers: Workers,
    store: Store,
    run_id: str,
    readers: list[Member],
) -> Pipeline:
    """Start the encoders beside `readers`, and load them.

    Raises:
        ConfigError: Weights that cannot be had, or that the store knows otherwise by that name.
    """
    encoders = start_encoders(config, list(specs), workers)
    loaded, facts = load_encoders(encoders)
    for about in facts:
        store.check_encoder(about)
        if about.config_differs:
            _log.warning("encoder %s: %s", about.name, about.config_differs)
    here = _gather(loaded, lambda member: member.handle.node.remote(), "encoder")
    here |= _gather(readers, lambda member: member.handle.node.remote(), "reader")
    for member, node in here.items():
        member.node = node
    pipeline = Pipeline(
        [member for member in readers if member in here],
        [member for member in encoders if member in here],
        {about.name: about for about in facts},
        workers,
        run_id,
    )
    pipeline.join(
        [member for member in readers if member not in here],
        [member for member in encoders if member not in here],
    )
    return pipeline


def load_encoders(encoders: Sequence[Member]) -> tuple[list[Member], list[EncoderFacts]]:
    """Have every worker load its encoders; those that have, and what they say of them.

    Raises:
        ConfigError: Weights that cannot be had, or workers that disagree on them.
        HistoRayError: A worker's process dies whenever it loads them.
    """
    answers = _gather(encoders, lambda member: member.handle.load.remote(), "encoder")
    first, *others = answers.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            if a.weights_sha256 != b.weights_sha256:
                raise ConfigError(
                    f"encoder {a.name}: nodes hold different weights ({a.weights_sha256[:12]}, "
                    f"{b.weights_sha256[:12]}); give all nodes the same file"
                )
    return list(answers), first


def _gather(
    members: Sequence[Member], ask: Callable[[Member], Any], kind: str
) -> dict[Member, Any]:
    """Ask all; what those answered that did so at most LATE_S after the first.

    One whose process died is asked again once it is back.
    """
    answers: dict[Member, Any] = {}
    calls = {ask(member): (member, 1, True) for member in members}
    began, told, late = time.monotonic(), 0, float("inf")
    while calls and time.monotonic() < late:
        done, _ = ray.wait(list(calls), timeout=1.0)
        for call in done:
            member, tries, asked = calls.pop(call)
            try:
                answer = ray.get(call)
            except RayTaskError as error:
                raise original_error(error) from None
            except RayActorError as error:
                if asked and tries >= TRIES:
                    raise HistoRayError(
                        f"{kind}: its process died {tries} times while it started "
                        f"({str(error).splitlines()[0]}); is there enough memory? see Ray's logs"
                    ) from None
                time.sleep(PING_S)
                calls[member.handle.node.remote()] = member, tries + asked, False
            else:
                if asked:
                    answers[member] = answer
                    late = min(late, time.monotonic() + LATE_S)
                else:
                    calls[ask(member)] = member, tries, True
        waited = int(time.monotonic() - began)
        if not answers and waited >= told + PATIENCE_S:
            told = waited
            _log.warning(
                "%ss: none is ready after %d s; weights are being fetched, or the cluster has no "
                "room for its process (ray status tells)",
                kind,
                waited,
            )
    return {member: answers[member] for member in members if member in answers}
