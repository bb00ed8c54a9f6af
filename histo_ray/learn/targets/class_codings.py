"""Targets of several classes as the 0/1 targets that heads are trained on, and back. Pure.

A head of two classes serves for more of them, too, when it is trained on several 0/1 targets of one
column and their probabilities are put together again. So multi-class and ordinal columns need no
heads of their own: whatever predicts a probability predicts them, and is as linear as it was.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating]


class ClassCoding(ABC):
    """One way to train on classes by targets of 0 and 1, the outputs."""

    @abstractmethod
    def list_outputs(self, count: int) -> range:
        """List the class that each output of a column of `count` classes stands for."""

    @abstractmethod
    def encode(self, numbers: Floats, count: int) -> Floats:
        """Make the outputs (P, O), 0 or 1, of (P,) numbers of classes; nan stays nan."""

    @abstractmethod
    def decode(self, probabilities: Values) -> Floats:
        """Make probabilities (..., K) of the classes, which add up to 1, of (..., O) outputs."""

    @abstractmethod
    def settle(self, probabilities: Values) -> Floats:
        """Make the (..., O) outputs of a column fit each other."""

    @abstractmethod
    def call(self, settled: Values) -> Floats:
        """Say 1.0 of the outputs that hold for the class that is chosen, else 0.0; (..., O)."""

    @abstractmethod
    def name_output(self, target: str, label: str) -> str:
        """Name the output that stands for a class."""


class OneVersusRest(ClassCoding):
    """An output a class: is it this one, or any other?

    Probabilities are divided by their sum. Bishop 2006, Pattern Recognition and Machine Learning,
    section 4.1.2; Rifkin and Klautau 2004, J Mach Learn Res 5:101, find it as good as any other
    way where each classifier is well regularised.
    """

    def list_outputs(self, count: int) -> range:
        """As the base class says."""
        return range(count)

    def encode(self, numbers: Floats, count: int) -> Floats:
        """As the base class says."""
        found = (numbers[:, None] == np.arange(count)).astype(np.float64)
        return np.where(np.isnan(numbers)[:, None], np.nan, found)

    def decode(self, probabilities: Values) -> Floats:
        """As the base class says; equal shares where all outputs are 0."""
        given = np.asarray(probabilities, np.float64)
        total = given.sum(-1, keepdims=True)
        equal = np.where(np.isnan(total), np.nan, 1 / given.shape[-1])
        shape = np.broadcast_to(equal, given.shape).copy()
        return np.asarray(np.divide(given, total, out=shape, where=total > 0))

    def settle(self, probabilities: Values) -> Floats:
        """Make them add up to 1."""
        return self.decode(probabilities)

    def call(self, settled: Values) -> Floats:
        """The most probable class."""
        missing = np.isnan(settled).any(-1, keepdims=True)
        best = np.where(missing, 0.0, settled).argmax(-1)
        chosen = best[..., None] == np.arange(settled.shape[-1])
        return np.where(missing, np.nan, chosen.astype(np.float64))

    def name_output(self, target: str, label: str) -> str:
        """As the base class says."""
        return f"{target}: {label}"


class CumulativeClasses(ClassCoding):
    """An output a threshold: is it this class or a higher one? None for the lowest class.

    Frank and Hall 2001, A simple approach to ordinal classification, ECML, LNCS 2167:145. Where
    the probability of a higher threshold is above that of a lower one, both are put in order
    (rearrangement, which only comes nearer to the truth: Chernozhukov, Fernandez-Val and Galichon
    2010, Econometrica 78:1093).
    """

    def list_outputs(self, count: int) -> range:
        """As the base class says."""
        return range(1, count)

    def encode(self, numbers: Floats, count: int) -> Floats:
        """As the base class says."""
        found = (numbers[:, None] >= np.arange(1, count)).astype(np.float64)
        return np.where(np.isnan(numbers)[:, None], np.nan, found)

    def decode(self, probabilities: Values) -> Floats:
        """As the base class says."""
        given = np.asarray(probabilities, np.float64)
        falling = self.settle(given)
        missing = np.isnan(given).any(-1, keepdims=True)
        ends = np.where(missing, np.nan, np.broadcast_to([1.0, 0.0], (*given.shape[:-1], 2)))
        return np.asarray(-np.diff(np.concatenate([ends[..., :1], falling, ends[..., 1:]], -1)))

    def settle(self, probabilities: Values) -> Floats:
        """Put them in order: a higher threshold is not passed more often."""
        return np.asarray(-np.sort(-np.asarray(probabilities, np.float64), axis=-1))

    def call(self, settled: Values) -> Floats:
        """All thresholds up to the median class."""
        found = (np.asarray(settled) >= 0.5).astype(np.float64)
        return np.where(np.isnan(settled), np.nan, found)

    def name_output(self, target: str, label: str) -> str:
        """As the base class says."""
        return f"{target}: {label} or higher"


CODINGS: dict[TargetKind, ClassCoding] = {
    TargetKind.MULTICLASS: OneVersusRest(),
    TargetKind.ORDINAL: CumulativeClasses(),
}
"""Kinds whose targets are trained on by several outputs each; those of others are their own."""


@dataclass(frozen=True)
class Output:
    """One target as heads are trained on it."""

    target: str
    """The column that it is of."""
    label: str
    """The class that it stands for; empty: the target is a number, or 0 and 1."""
    name: str
    """Unique among the outputs of a run."""


@dataclass(frozen=True)
class OutputLayout:
    """Which outputs belong to which target, and which classes."""

    kind: TargetKind
    targets: tuple[str, ...]
    """(T,)."""
    classes: tuple[tuple[str, ...], ...] = ()
    """(T,) classes of each target; without any, each target is its own output."""

    @property
    def coding(self) -> ClassCoding | None:
        """How classes are trained on; None: targets are as they are."""
        return CODINGS.get(self.kind)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """(O,) all outputs, target by target."""
        coding = self.coding
        if coding is None:
            return tuple(Output(name, "", name) for name in self.targets)
        return tuple(
            Output(target, classes[at], coding.name_output(target, classes[at]))
            for target, classes in zip(self.targets, self.classes, strict=True)
            for at in coding.list_outputs(len(classes))
        )

    @property
    def owners(self) -> npt.NDArray[np.intp]:
        """(O,) place of the target that each output is of."""
        counts = [part.stop - part.start for part in self.output_slices]
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def output_slices(self) -> list[slice]:
        """(T,) places of each target's outputs."""
        coding = self.coding
        if coding is None:
            return _slice([1] * len(self.targets))
        return _slice([len(coding.list_outputs(len(classes))) for classes in self.classes])

    @property
    def class_slices(self) -> list[slice]:
        """(T,) places of each target's classes among the classes of all, C of them."""
        if self.coding is None:
            return _slice([1] * len(self.targets))
        return _slice([len(classes) for classes in self.classes])

    def encode(self, values: Floats) -> Floats:
        """Make the outputs (P, O) of (P, T) labels."""
        coding = self.coding
        if coding is None:
            return values
        return np.concatenate(
            [
                coding.encode(column, len(classes))
                for column, classes in zip(values.T, self.classes, strict=True)
            ],
            axis=1,
        )

    def decode(self, predicted: Values) -> Values:
        """Make the probabilities (..., C) of all classes of (..., O) predicted outputs.

        Predictions of targets without classes stay as they are.
        """
        coding = self.coding
        if coding is None:
            return predicted
        return np.concatenate(
            [coding.decode(predicted[..., part]) for part in self.output_slices], axis=-1
        ).astype(predicted.dtype)

    def repeat_targets(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Give each output what its target has, along the first axis: (T, ...) to (O, ...)."""
        return np.asarray(values[self.owners], np.int32)

    def average(self, values: Values) -> Floats:
        """Average (..., O) over the outputs of each target, to (..., T); nan where one is nan."""
        if self.coding is None:
            return np.asarray(values)
        return np.stack([values[..., part].mean(-1) for part in self.output_slices], axis=-1)


def _slice(counts: Sequence[int]) -> list[slice]:
    ends = np.cumsum([0, *counts]).tolist()
    return [slice(start, end) for start, end in itertools.pairwise(ends)]
