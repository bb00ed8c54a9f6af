"""The registry of MIL networks, without their modules, which import torch.

To add a network: one file with a `NETWORK` (a subclass of `networks.base.MilNetwork`), and one
line here.
"""

import importlib
from typing import TYPE_CHECKING, NamedTuple

from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.learn.mil.networks.base import MakeNetwork


class NetworkEntry(NamedTuple):
    """A line of the registry."""

    name: str
    """As settings call it."""
    module: str
    """Where its `NETWORK` is."""
    kinds: tuple[TargetKind, ...]
    """Targets that it predicts."""
    attends: bool
    """Whether its output is the attention-weighted mean of what it says of each tile alone, so that
    a heat map can show it."""
    rate: float = 3e-3
    """Learning rate where settings name none."""
    own_settings: tuple[str, ...] = ()
    """Fields of `MilSettings` that no other network reads."""


_HERE = "histo_ray.learn.mil.networks"
_NUMBERS_AND_CLASSES = (TargetKind.CONTINUOUS, TargetKind.BINARY)

NETWORKS: tuple[NetworkEntry, ...] = (
    NetworkEntry("abmil", f"{_HERE}.abmil", _NUMBERS_AND_CLASSES, attends=True),
    NetworkEntry(
        "clam", f"{_HERE}.clam", (TargetKind.BINARY,), attends=True,
        own_settings=("instance_weight", "instance_tiles"),
    ),
    NetworkEntry(
        "transformer", f"{_HERE}.transformer", _NUMBERS_AND_CLASSES, attends=False, rate=1e-3,
        own_settings=("inducing", "transformer_heads"),
    ),
    NetworkEntry("mean-mlp", f"{_HERE}.mean_mlp", _NUMBERS_AND_CLASSES, attends=False),
)  # fmt: skip


def network_names(kind: TargetKind | None = None) -> tuple[str, ...]:
    """Name the networks.

    Args:
        kind: Of the targets that they are to predict; None: any.
    """
    return tuple(entry.name for entry in NETWORKS if kind is None or kind in entry.kinds)


def find_network(name: str) -> NetworkEntry:
    """Find the line of a network.

    Raises:
        ConfigError: There is no such network.
    """
    for entry in NETWORKS:
        if entry.name == name:
            return entry
    known = network_names()
    raise ConfigError(
        f"network {name!r}: there is no such MIL network; use {join_or(list(known))}"
        f"{did_you_mean(name, known)}"
    )


def settings_of_others(name: str) -> set[str]:
    """Name the fields of `MilSettings` that other networks read, and this one does not.

    Raises:
        ConfigError: There is no such network.
    """
    own = set(find_network(name).own_settings)
    return {field for entry in NETWORKS for field in entry.own_settings} - own


def rates() -> dict[str, float]:
    """Learning rate of each network where settings name none."""
    return {entry.name: entry.rate for entry in NETWORKS}


def check_network(name: str, kind: TargetKind) -> None:
    """Refuse a network that does not predict such targets.

    Raises:
        ConfigError: There is no such network, or it predicts others.
    """
    entry = find_network(name)
    if kind not in entry.kinds:
        others = network_names(kind)
        raise ConfigError(
            f"network {name}: it predicts {join_or([k.value for k in entry.kinds])} targets, and "
            f"these are {kind}; use {join_or(list(others)) if others else 'another --head'}"
        )


def check_attends(name: str) -> None:
    """Refuse a network that cannot say what a tile adds.

    Raises:
        ConfigError: There is no such network, or its output is no weighted mean over tiles.
    """
    if not find_network(name).attends:
        known = join_or([entry.name for entry in NETWORKS if entry.attends])
        raise ConfigError(
            f"network {name}: its prediction is no weighted mean over tiles, so there is no "
            f"attention and no heat map of it; evaluate with --mil network={known} for one"
        )


def load_network(name: str) -> "MakeNetwork":
    """Import a network.

    Raises:
        ConfigError: There is no such network.
    """
    network: MakeNetwork = importlib.import_module(find_network(name).module).NETWORK
    return network
