"""A predictor in memory: its card and the trained heads. Pure: arrays in, arrays out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.calibration import apply_calibration
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.label_scale import LabelScale
from histo_ray.learn.targets.class_codings import CODINGS, ClassCoding
from histo_ray.learn.tiles.tile_range import TileRange
from histo_ray.predict.card import PredictorCard

if TYPE_CHECKING:
    from histo_ray.learn.mil.head import MilHead

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.floating]
BAGS = "bags"
"""Pooling of parts that see all tiles."""
CODED: Mapping[str, ClassCoding] = {kind.value: coding for kind, coding in CODINGS.items()}
"""By the kind of a card whose targets are classes of columns."""


@dataclass(frozen=True)
class LinearPart:
    """A linear head on vectors of one pooling, or on tiles."""

    pooling: str
    """Empty: tiles."""
    head: str
    fit: LinearFit

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of its targets."""
        return self.fit.targets

    def predict(self, vectors: Vectors) -> Floats:
        """Predict (m, t) from (m, D) raw vectors."""
        return self.fit.predict(vectors)


@dataclass(frozen=True)
class BagPart:
    """MIL heads on bags: those of the folds of a cross-validation."""

    head: str
    variant: str
    targets: tuple[str, ...]
    """(t,) names; several where they were trained together."""
    members: tuple["MilHead", ...]
    """Repeat r, fold f at r * n_folds + f: each saw all patients but those of its fold."""
    n_folds: int

    def predict(self, bags: Sequence[Vectors]) -> Floats:
        """Predict (n, t) from n bags of (N_i, D): the mean over members."""
        return np.asarray(np.mean([member.predict(bags) for member in self.members], axis=0))

    def attend(self, bag: Vectors) -> Floats:
        """Attention weight of each tile of a bag, (N,) summing to 1: the mean over members."""
        return np.asarray(np.mean([member.attend(bag) for member in self.members], axis=0))

    def member(self, repeat: int, fold: int) -> "MilHead":
        """The head that did not see the patients of a fold.

        Raises:
            ConfigError: That repeat is not part of the ensemble.
        """
        at = repeat * self.n_folds + fold
        if fold >= self.n_folds or at >= len(self.members):
            raise ConfigError(
                f"target {self.targets[0]}: the ensemble has no head of repeat {repeat}, fold "
                f"{fold}; it has {len(self.members) // self.n_folds} repeats of {self.n_folds} "
                "folds"
            )
        return self.members[at]


@dataclass(frozen=True)
class PredictorParts:
    """The arrays of a predictor: what predictor.safetensors holds."""

    linear: tuple[LinearPart, ...]
    bags: tuple[BagPart, ...]
    label_scale: LabelScale
    tile_range: TileRange | None
    """None for a predictor of classes of tiles."""


@dataclass(frozen=True)
class FittedPredictor:
    """A predictor as it is loaded."""

    card: PredictorCard
    parts: PredictorParts
    home: str = field(default="", compare=False)
    """Path or URI of the store that it lies in; empty: unknown, as of a copied folder."""

    def predict(
        self, pooled: Mapping[str, Vectors], bags: Sequence[Vectors] | None = None
    ) -> Floats:
        """Predict patients, uncalibrated, on the scale that heads were trained on.

        Args:
            pooled: (P, D) raw vectors by pooling: those of `card.poolings`.
            bags: P of (N_i, D) tiles, where `card.needs_bags`.

        Returns:
            (P, T) in the order of `card.targets`: values, or probabilities.

        Raises:
            ConfigError: A pooling or the bags are missing, or vectors of another width.
        """
        place = {name: at for at, name in enumerate(self.card.target_names)}
        columns: dict[int, Floats] = {}
        every: list[LinearPart | BagPart] = [*self.parts.linear, *self.parts.bags]
        for part in every:
            if isinstance(part, LinearPart):
                found = part.predict(self._take(pooled, part.pooling))
            else:
                if bags is None:
                    raise ConfigError(
                        f"target {part.targets[0]}: it is predicted from bags of tiles"
                    )
                found = part.predict(bags)
            for at, name in enumerate(part.targets):
                columns[place[name]] = found[:, at]
        return np.column_stack([columns[at] for at in range(len(place))])

    def predict_tiles(self, tiles: Vectors) -> Floats:
        """Scores of the classes of (N, D) tiles, (N, K); for a predictor of classes of tiles."""
        (part,) = self.parts.linear
        return part.predict(tiles)

    def calibrate(self, predicted: Floats) -> Floats:
        """Calibrate (P, T) predictions, target by target; nan stays nan.

        Probabilities of the classes of one column are then made to fit each other.
        """
        calibrated = np.column_stack(
            [
                apply_calibration(target.calibration, column)
                for target, column in zip(self.card.targets, predicted.T, strict=True)
            ]
        )
        return self.settle(calibrated)

    def settle(self, predicted: Floats) -> Floats:
        """Make (P, T) probabilities of the classes of one column fit each other; others stay."""
        settled = predicted.copy()
        for coding, at in self._list_coded():
            settled[:, at] = coding.settle(predicted[:, at])
        return settled

    def call(self, predicted: Floats, rule: str = "") -> Floats:
        """Call (P, T) uncalibrated predictions: 1.0 from the threshold on, else 0.0.

        Args:
            predicted: (P, T).
            rule: Name of the thresholds; empty: the first of each target.

        Returns:
            (P, T); nan where there is no prediction, or the target has no such threshold. Classes
            of a column of several are called together: 1.0 is the most probable one, or, of
            ordered ones, the median class and those below.
        """
        calls = np.full(predicted.shape, np.nan)
        for at, target in enumerate(self.card.targets):
            chosen = [t for t in target.thresholds if rule in ("", t.rule)]
            if chosen:
                called = np.asarray(predicted[:, at] >= chosen[0].value, np.float64)
                calls[:, at] = np.where(np.isnan(predicted[:, at]), np.nan, called)
        calibrated = self.calibrate(predicted) if self.card.kind in CODED else predicted
        for coding, places in self._list_coded():
            calls[:, places] = coding.call(calibrated[:, places])
        return calls

    def _list_coded(self) -> Iterator[tuple[ClassCoding, list[int]]]:
        """Yield the places of the classes of each column of several classes."""
        coding = CODED.get(self.card.kind)
        if coding is None:
            return
        for column in dict.fromkeys(target.column for target in self.card.targets):
            own = [at for at, target in enumerate(self.card.targets) if target.column == column]
            yield coding, own

    def _take(self, pooled: Mapping[str, Vectors], pooling: str) -> Vectors:
        if pooling not in pooled:
            raise ConfigError(
                f"predictor {self.card.name}: needs vectors of pooling {pooling}, but there are "
                f"{', '.join(pooled) or 'none'}; pool the tiles of each patient by it"
            )
        return pooled[pooling]
