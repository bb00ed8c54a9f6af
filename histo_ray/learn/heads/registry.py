"""The registry of heads, without their modules, whose imports take a second.

To add a head: one file with a `HEAD` (see `heads.base`), and one line here.
"""

import importlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.learn.heads.base import PatientHead, TileHead
    from histo_ray.learn.mil.fold import BagHead

Solver = Literal["auto", "exact", "fast"]


class TrainsOn(StrEnum):
    """What a row is that a head is trained on."""

    TILES = "tiles"
    """Embeddings of labelled tiles."""
    PATIENTS = "patients"
    """One pooled vector a patient."""
    BAGS = "bags"
    """All tiles of a patient."""


class HeadEntry(NamedTuple):
    """A line of the registry."""

    name: str
    """As settings call it."""
    trains_on: TrainsOn
    kinds: tuple[TargetKind, ...]
    """Targets that it predicts; empty: classes of tiles."""
    module: str
    """Where its `HEAD` is."""
    offered: bool = True
    """Whether settings may name it; others are chosen by the program."""


_TILES, _PATIENTS, _BAGS = TrainsOn.TILES, TrainsOn.PATIENTS, TrainsOn.BAGS
_NUMBERS = (TargetKind.CONTINUOUS,)
_CLASSES = (TargetKind.BINARY, TargetKind.MULTICLASS, TargetKind.ORDINAL)
"""Several classes are trained on as several targets of 0 and 1 (`learn.targets.class_codings`)."""
_TIMES = (TargetKind.SURVIVAL,)
_HERE = "histo_ray.learn.heads"

HEADS: tuple[HeadEntry, ...] = (
    HeadEntry("logistic", _TILES, (), f"{_HERE}.tile_logistic"),
    HeadEntry("svm", _TILES, (), f"{_HERE}.tile_svm"),
    HeadEntry("knn", _TILES, (), f"{_HERE}.tile_knn"),
    HeadEntry("least-squares", _TILES, (), f"{_HERE}.least_squares", offered=False),
    HeadEntry("ridge", _PATIENTS, _NUMBERS, f"{_HERE}.ridge"),
    HeadEntry("pls", _PATIENTS, _NUMBERS, f"{_HERE}.pls"),
    HeadEntry("elastic-net", _PATIENTS, _NUMBERS, f"{_HERE}.elastic_net"),
    HeadEntry("logistic", _PATIENTS, _CLASSES, f"{_HERE}.patient_logistic"),
    HeadEntry("cox", _PATIENTS, _TIMES, f"{_HERE}.cox"),
    HeadEntry("mil", _BAGS, (*_NUMBERS, *_CLASSES), "histo_ray.learn.mil.fold"),
)


def head_names(*trains_on: TrainsOn, kind: TargetKind | None = None) -> tuple[str, ...]:
    """Name the heads that settings may choose from.

    Args:
        trains_on: Rows that there are.
        kind: Of the targets; None: classes of tiles.
    """
    return tuple(
        entry.name
        for entry in HEADS
        if entry.offered
        and entry.trains_on in trains_on
        and (kind in entry.kinds if kind is not None else not entry.kinds)
    )


def check_head(name: str, *trains_on: TrainsOn, kind: TargetKind | None = None) -> str:
    """Return the name of a head that settings may choose; arguments as `head_names`.

    Raises:
        ValueError: There is no such head.
    """
    known = head_names(*trains_on, kind=kind)
    if name not in known:
        raise ValueError(f"must be {join_or(list(known))}{did_you_mean(name, known)}")
    return name


def trains_on_bags(name: str) -> bool:
    """Whether a head of patients is trained on bags of tiles, not on pooled vectors."""
    return any(entry.name == name and entry.trains_on is _BAGS for entry in HEADS)


def load_tile_head(name: str) -> "TileHead":
    """Import a head of tiles.

    Raises:
        ConfigError: There is no such head.
    """
    head: TileHead = _load(name, _TILES)
    return head


def load_patient_head(name: str) -> "PatientHead":
    """Import a head of patients' vectors.

    Raises:
        ConfigError: There is no such head.
    """
    head: PatientHead = _load(name, _PATIENTS)
    return head


def load_bag_head(name: str) -> "BagHead":
    """Import a head of bags.

    Raises:
        ConfigError: There is no such head.
    """
    head: BagHead = _load(name, _BAGS)
    return head


def _load(name: str, trains_on: TrainsOn) -> Any:
    for entry in HEADS:
        if (entry.name, entry.trains_on) == (name, trains_on):
            return importlib.import_module(entry.module).HEAD
    known = [entry.name for entry in HEADS if entry.trains_on is trains_on]
    raise ConfigError(
        f"there is no head {name!r} of {trains_on}, but {', '.join(known)}"
        f"{did_you_mean(name, known)}"
    )
