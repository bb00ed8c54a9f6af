"""Shares of nodes that processes of one size get, so that all have a place. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from histo_ray.errors import ConfigError

READER_NICENESS = 10
"""Niceness of readers that share their cores with an encoder: reading fills the gaps."""
SHARES = 10_000
"""Parts of a CPU or a GPU that Ray counts in. Whole numbers of them add up without rounding."""


@dataclass(frozen=True)
class Place:
    """Processes of one kind that the plan puts on one node."""

    node_id: str
    count: int
    niceness: int = 0


def largest_share(
    rooms: Sequence[int],
    count: int,
    limits: Sequence[int] | None = None,
    most: int = SHARES,
) -> int:
    """Largest share with which `count` processes of one size find a place; 0 if none is so small.

    Args:
        rooms: What each node has to give.
        count: The processes.
        limits: Most processes of each node.
        most: Largest share that is of use.
    """
    limits = limits or [count] * len(rooms)

    def fit(share: int) -> bool:
        pairs = zip(rooms, limits, strict=True)
        return sum(min(limit, room // share) for room, limit in pairs) >= count

    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fit(middle) else (low, middle - 1)
    return low


def units(amount: float) -> int:
    """Whole parts of a CPU or GPU that Ray counts in."""
    return int(round(amount * SHARES, 3))


def deal_out(
    nodes: Sequence[str],
    rooms: Sequence[int],
    count: int,
    share: int,
    shared: Sequence[bool] | None = None,
) -> tuple[Place, ...]:
    """Deal processes out to nodes, in turn: those that have the other kind too, then the others.

    Args:
        nodes: Ray's ids of the nodes.
        rooms: Parts of CPUs that each has for them.
        count: How many; all find a place with this share.
        share: Parts of a CPU of each.
        shared: Which nodes have encoders too: there readers run at lower priority.

    Raises:
        ConfigError: No node has room.
    """
    if not any(rooms):
        raise ConfigError(
            "--reader-label: its nodes have no CPU left for readers; choose others or more"
        )
    shared = shared or [False] * len(nodes)
    most = [room // share if share else count * (room > 0) for room in rooms]
    dealt = [0] * len(nodes)
    left = count
    for kind in (True, False):
        turn = [at for at, both in enumerate(shared) if both is kind and most[at]]
        while left and turn:
            for at in turn[:left]:
                dealt[at] += 1
            left -= len(turn[:left])
            turn = [at for at in turn if dealt[at] < most[at]]
    return tuple(
        Place(node, here, READER_NICENESS if both else 0)
        for node, here, both in zip(nodes, dealt, shared, strict=True)
        if here
    )
