"""What calls of a run's processes take and return; not the work itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import ray

from histo_ray.extract.meter import Spent
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.subject import Subject
from histo_ray.types import EncoderFacts, Floats


@dataclass(frozen=True)
class SlideFailure:
    """A slide or tile set that cannot be used, and why."""

    slide_id: str
    problem: str


@dataclass(frozen=True)
class EncodedBlock:
    """Vectors of one block inside the array that an encoder returned for a whole batch."""

    start: int
    """tile_id of the first vector."""
    ref: "ray.ObjectRef[Floats]"
    rows: slice
    """Which rows of the array."""
    focus: npt.NDArray[np.float32]
    device: str = ""
    """What computed them, in words."""


class Begun(NamedTuple):
    """A subject that was planned together with others, and the focus of tiles read with it."""

    plan: SubjectPlan
    focus: npt.NDArray[np.float32]
    """(n,) of its first tiles."""


class CommitOrder(NamedTuple):
    """A partition that is to be written."""

    plan: SubjectPlan
    encoder: EncoderFacts
    pieces: Sequence[EncodedBlock]


class EncodeResult(NamedTuple):
    """Result of a call of `EncoderWorker.encode`, as `CallResult` is one of others."""

    value: list[npt.NDArray[np.bool_]]
    """For each encoder, which vectors are not finite."""
    spent: Spent
    smaller_batch: int
    """Fewest tiles that an encoder takes at once for want of memory; 0: as many as asked for."""


def name_devices(encoder: EncoderFacts, pieces: Sequence[EncodedBlock]) -> EncoderFacts:
    """Facts for the receipt of one partition: on which devices its vectors were computed."""
    devices = sorted({piece.device for piece in pieces if piece.device})
    return encoder.model_copy(update={"device": " + ".join(devices)}) if devices else encoder


@dataclass(frozen=True)
class SharedSubject:
    """A subject that is large, as readers are sent it: they fetch it once each."""

    slide_id: str
    ref: "ray.ObjectRef[Subject]"
