"""Random numbers of the members of a head: each has a stream of its own, or all share one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from histo_ray.learn.mil.mil_settings import MilSettings


def draw_member_seeds(settings: MilSettings, seed: int) -> tuple[int, ...]:
    """Seeds of the members: the first one's is that of a head of one member.

    Args:
        settings: Members, and whether they share a stream.
        seed: Of the head.

    Returns:
        One for each member; all the same where they share it.
    """
    if settings.member_seeds == "shared":
        return (seed,) * settings.members
    drawn = (np.random.SeedSequence([seed, at]) for at in range(1, settings.members))
    return (seed, *(int(one.generate_state(1)[0]) for one in drawn))


def start_streams(settings: MilSettings, seeds: tuple[int, ...]) -> list["Stream"]:
    """Start the stream of each member; one for all where they share it."""
    if settings.member_seeds == "shared":
        return [Stream(seeds[0], settings.device)] * len(seeds)
    return [Stream(seed, settings.device) for seed in seeds]


class Stream:
    """Random numbers of NumPy, and of torch while it is entered."""

    def __init__(self, seed: int, device: str) -> None:
        """Start at a seed; torch's own state is left as it is."""
        self.numbers = np.random.default_rng(seed)
        self._cuda = device == "cuda"
        before = _take_state(self._cuda)
        torch.manual_seed(seed)
        self._state = _take_state(self._cuda)
        _set_state(before)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Have torch draw from this stream; then it is left where it is."""
        _set_state(self._state)
        try:
            yield
        finally:
            self._state = _take_state(self._cuda)


def _take_state(cuda: bool) -> tuple[torch.Tensor, ...]:
    states = [torch.get_rng_state()]
    return (*states, torch.cuda.get_rng_state()) if cuda else tuple(states)


def _set_state(states: tuple[torch.Tensor, ...]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
