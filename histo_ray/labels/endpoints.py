"""Endpoints as they are written in settings: a name, a column of times, a column of events."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_SPELLING = re.compile(r"([^=]+)=([^,]+),(.+)")


class Endpoint(NamedTuple):
    """One endpoint and where it stands in a label table."""

    name: str
    time: str
    """Column of times."""
    event: str
    """Column that says whether each time ended in an event."""


def parse_endpoints(
    spelled: Sequence[str], time: str | None = None, event: str | None = None
) -> tuple[Endpoint, ...]:
    """Parse NAME=TIME,EVENT, and the pair that stands alone, which is called by its event column.

    Args:
        spelled: Each `NAME=TIME,EVENT`.
        time: Column of times of one endpoint; None: none beside `spelled`.
        event: Its column of events.

    Raises:
        ValueError: Another spelling, half a pair, a name twice, or nothing at all.
    """
    found = []
    for text in spelled:
        parts = _SPELLING.fullmatch(text)
        if parts is None:
            raise ValueError(
                f"endpoint: {text!r}, must be NAME=TIME,EVENT with two columns of the label table, "
                "as in OS=os_months,os_status"
            )
        found.append(Endpoint(*(part.strip() for part in parts.groups())))
    if (time is None) != (event is None):
        given, lacking = ("time", "event") if event is None else ("event", "time")
        raise ValueError(f"{given}: without {lacking}; name both columns, --time and --event")
    if time is not None and event is not None:
        found.append(Endpoint(event, time, event))
    if not found:
        raise ValueError(
            "endpoint: none is named; give the columns of the label table with --time and --event, "
            "or several endpoints, each with --endpoint NAME=TIME,EVENT"
        )
    names = [one.name for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"endpoint: {twice[0]} is there twice; give each a name of its own")
    return tuple(found)
