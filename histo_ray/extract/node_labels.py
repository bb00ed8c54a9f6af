"""Nodes that settings choose by Ray's labels and kinds of accelerator. Pure.

Ray decides by the same rules where a process may start; a plan that did not know them would count
cores and GPUs that it never gets.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from histo_ray.errors import ConfigError
from histo_ray.text import join_or


class LabelledNode(Protocol):
    """What a choice of nodes goes by."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Ray's labels of the node."""

    @property
    def accelerator(self) -> str:
        """Kind of its accelerators, as Ray names it; empty without."""


N = TypeVar("N", bound=LabelledNode)


def parse_labels(stated: Sequence[str]) -> dict[str, str]:
    """Turn `KEY=VALUE` settings into the label selector that Ray takes."""
    return dict(text.split("=", 1) for text in stated)


def has_labels(node: LabelledNode, stated: Sequence[str]) -> bool:
    """Whether Ray would let a process with these `KEY=VALUE` settings start on the node."""
    return all(_meets(node.labels.get(key), label) for key, label in parse_labels(stated).items())


def _meets(value: str | None, label: str) -> bool:
    """Whether a label's value meets `V`, `!V`, `in(A, B)` or `!in(A, B)`; a missing one is none."""
    plain = label.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", plain)
    names = [name.strip() for name in several[1].split(",")] if several else [plain]
    return (value in names) != label.startswith("!")


def choose_labelled(nodes: Sequence[N], stated: Sequence[str], flag: str) -> list[N]:
    """Nodes with the labels that a setting states.

    Raises:
        ConfigError: There is none.
    """
    chosen = [node for node in nodes if has_labels(node, stated)]
    if not chosen:
        there = {
            f"{key}={value}"
            for node in nodes
            for key, value in node.labels.items()
            if key in parse_labels(stated)
        }
        raise ConfigError(
            f"{flag} {' '.join(stated)}: no node of the cluster has it; there are "
            f"{', '.join(sorted(there)) or 'no such labels'} (ray start --labels KEY=VALUE)"
        )
    return chosen


def choose_accelerated(nodes: Sequence[N], kind: str | None) -> list[N]:
    """Nodes with that kind of accelerator; all where none is stated.

    Raises:
        ConfigError: There is none.
    """
    chosen = [node for node in nodes if kind in (None, node.accelerator)]
    if kind and not chosen:
        there = sorted({node.accelerator for node in nodes if node.accelerator})
        raise ConfigError(
            f"--accelerator-type {kind}: no node of the cluster has it; "
            + (f"use {join_or(there)}" if there else "Ray sees no accelerator there")
        )
    return chosen
