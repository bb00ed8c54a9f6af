"""A Ray of this machine alone, started without the helpers that nothing asks here.

`ray.init` starts three Python processes beside what runs tasks, and waits for the first of them:

* the API server: without a dashboard it only sends usage statistics, which are switched off;
* the autoscaler's monitor, which adds machines to clusters;
* the log monitor, which sends what workers print to the driver, which takes none of it.

They are left out by leaving out the calls that start them. What of these is not there in another
version of Ray is started as ever, which only takes longer. The agents stay: one of them serves
metrics, the other prepares environments of workers.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from ray._private import node as _ray_node

_HELPERS = ("start_api_server", "start_monitor", "start_log_monitor")
"""Methods of Ray's node, each of which starts one helper and returns nothing."""


@contextmanager
def without_helpers() -> Iterator[None]:
    """Leave out the helpers of a Ray that starts meanwhile."""
    node: Any = _ray_node.Node
    with ExitStack() as stack:
        for name in _HELPERS:
            if callable(getattr(node, name, None)):
                stack.enter_context(_replaced(node, name, _start_nothing))
        yield


def _start_nothing(node: Any, *_: Any, **__: Any) -> None:
    """Stand in for a start; without an API server, the address of a dashboard is empty."""
    node._webui_url = getattr(node, "_webui_url", None) or ""


@contextmanager
def _replaced(owner: Any, name: str, stand_in: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def inherited(values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Have processes that start meanwhile inherit variables which the user has not set.

    Yields:
        These variables.
    """
    own = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield own
    finally:
        for name in own:
            os.environ.pop(name, None)
