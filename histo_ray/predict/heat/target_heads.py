"""Heads of one target that may be shown on a patient's tiles. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from histo_ray.learn.heads.linear_fit import LinearFit, Link, apply_link
from histo_ray.learn.mil.networks.registry import check_attends
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.learn.mil.head import MilHead


KIND_LINKS: Mapping[TargetKind, Link] = {
    TargetKind.CONTINUOUS: Link.IDENTITY,
    TargetKind.BINARY: Link.LOGISTIC,
    TargetKind.MULTICLASS: Link.LOGISTIC,
    TargetKind.ORDINAL: Link.LOGISTIC,
    TargetKind.SURVIVAL: Link.IDENTITY,
}
"""From decision values to predictions, by what is predicted; of several classes each by itself."""


@dataclass(frozen=True)
class PooledHeads:
    """Linear heads of one target on vectors of one pooling."""

    pooling: str
    fits: tuple[LinearFit, ...]
    """Each of the one target."""


@dataclass(frozen=True)
class TargetHeads:
    """Heads of one target, all of which have the same say."""

    target: str
    origin: str
    """Name of the run or predictor that they are of."""
    link: Link
    """From decision values to predictions."""
    pooled: tuple[PooledHeads, ...] = ()
    bags: tuple["MilHead", ...] = ()
    neutral: float = 0.0
    """Decision value of a patient like the average one that they were trained on."""
    out_of_fold: bool = False
    """Whether none of them was trained on the patient."""

    @property
    def count(self) -> int:
        """Number of heads."""
        return sum(len(one.fits) for one in self.pooled) + len(self.bags)

    @property
    def names(self) -> tuple[str, ...]:
        """What sees the tiles: poolings, and `bags`."""
        return (*(one.pooling for one in self.pooled), *(("bags",) if self.bags else ()))

    def predict(self, decision: float) -> float:
        """Prediction that belongs to a decision value: a value, or a probability."""
        return float(apply_link(self.link, np.array([[decision]]))[0, 0])


def gather_heads(
    target: str,
    origin: str,
    link: Link,
    linear: Sequence[tuple[str, LinearFit]],
    bags: Sequence["MilHead"] = (),
    average: float = 0.0,
) -> TargetHeads:
    """Sort heads by pooling.

    Args:
        target: Which they predict.
        origin: Name of their run or predictor.
        link: Of the predictions.
        linear: Pooling and fit of this target of each linear head.
        bags: Attention heads.
        average: Decision value of the average patient, where there are attention heads alone; that
            of linear heads is their bias, as features are centred on the training part.

    Raises:
        ConfigError: A MIL head's network cannot say what a tile adds.
    """
    for head in bags:
        check_attends(head.settings.network)
    by_pooling: dict[str, list[LinearFit]] = {}
    for pooling, fit in linear:
        by_pooling.setdefault(pooling, []).append(fit)
    biases = [float(fit.bias[0]) for _, fit in linear]
    return TargetHeads(
        target,
        origin,
        link,
        tuple(PooledHeads(pooling, tuple(fits)) for pooling, fits in by_pooling.items()),
        tuple(bags),
        float(np.mean(biases)) if biases else average,
    )


def as_out_of_fold(heads: TargetHeads) -> TargetHeads:
    """The same heads, marked as none of them trained on the patient."""
    return replace(heads, out_of_fold=True)
