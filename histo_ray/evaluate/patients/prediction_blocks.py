"""Predictions of a run's pieces, read for a block of targets at a time.

A piece holds one repeat of one configuration, a row a target. All of them together may be larger
than memory (20,000 genes, 453 patients, 50 repeats and two encoders are 3.8 GB), so what tells
which configuration is selected is read first, and predictions of some targets when they are asked
for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.evaluate.patients.patient_units import read_choices, read_predicted
from histo_ray.learn.statistics import targets_at_once
from histo_ray.learn.targets.class_codings import OutputLayout
from histo_ray.learn.targets.configurations import (
    Configuration,
    assemble_predictions,
    select_configurations,
)
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_tables import ConfigurationPredictions
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.store.tables import TableFolder

BLOCK_BYTES = 1 << 27
"""Predictions held at once, of all configurations: bounds memory, not the result."""
EVERYTHING = slice(None)
Floats = npt.NDArray[np.float64]


class EncoderPredictions(NamedTuple):
    """What one encoder's configurations predict of T outputs."""

    configurations: tuple[Configuration, ...]
    """C of them."""
    predictions: tuple[ConfigurationPredictions, ...]
    """Predictions of each."""
    selected: npt.NDArray[np.bool_]
    """(C, R, F, T)."""
    assembled: npt.NDArray[np.float32]
    """(R, P, T) of the configuration selected for each fold."""


@dataclass(frozen=True)
class EncoderPieces:
    """Pieces of one encoder's configurations, of O outputs: labels, then permuted ones."""

    pieces: TableFolder
    numbers: tuple[int, ...]
    """(C,) of the configurations among all of the run."""
    configurations: tuple[Configuration, ...]
    fold_ids: npt.NDArray[np.int32]
    """(R, P), or (O, R, P)."""
    choice: Floats
    """(C, R, F, O)."""
    inner_score: Floats
    """(C, R, F, O)."""
    selected: npt.NDArray[np.bool_]
    """(C, R, F, O)."""

    def take(self, configuration: int) -> "EncoderPieces":
        """Take one configuration, as if it had been selected everywhere."""
        at = slice(configuration, configuration + 1)
        own = (self.choice[at], self.inner_score[at])
        everywhere = np.ones_like(self.selected[at])
        return replace(
            self,
            numbers=self.numbers[at],
            configurations=self.configurations[at],
            choice=own[0],
            inner_score=own[1],
            selected=everywhere,
        )

    def read(self, outputs: slice = EVERYTHING, repeats: slice = EVERYTHING) -> EncoderPredictions:
        """Read the predictions of some outputs in some repeats.

        Raises:
            StoreError: A piece is not there, or damaged.
        """
        first, last, _ = outputs.indices(self.choice.shape[-1])
        rows = range(self.fold_ids.shape[-2])[repeats]
        predicted = np.empty(
            (len(self.numbers), len(rows), self.fold_ids.shape[-1], last - first), np.float32
        )
        for at, number in enumerate(self.numbers):
            for place, repeat in enumerate(rows):
                read_predicted(self.pieces, number, repeat, first, predicted[at, place])
        choice, inner_score = (
            values[:, repeats, :, outputs] for values in (self.choice, self.inner_score)
        )
        selected = self.selected[:, repeats, :, outputs]
        own = self.fold_ids[outputs] if self.fold_ids.ndim == 3 else self.fold_ids
        return EncoderPredictions(
            self.configurations,
            tuple(map(ConfigurationPredictions, predicted, choice, inner_score, selected)),
            selected,
            assemble_predictions(predicted, selected, own[..., repeats, :]),
        )


def open_pieces(
    pieces: TableFolder,
    configurations: Sequence[Configuration],
    matrix: TargetMatrix,
    layout: OutputLayout | None = None,
) -> dict[str, EncoderPieces]:
    """Look at every piece once, by encoder; configurations are selected by their inner scores.

    Args:
        pieces: Of a run's units.
        configurations: In the order of their numbers.
        matrix: What was predicted.
        layout: Of targets that have several outputs each, which share one configuration in a fold:
            the one with the best mean inner score.

    Raises:
        StoreError: A piece is not there, or damaged.
    """
    found: dict[str, EncoderPieces] = {}
    for encoder in dict.fromkeys(configuration.encoder for configuration in configurations):
        numbers = tuple(at for at, c in enumerate(configurations) if c.encoder == encoder)
        own = tuple(configurations[at] for at in numbers)
        read = [[read_choices(pieces, n, r) for r in range(matrix.repeats)] for n in numbers]
        choice, inner_score = (
            np.stack([np.stack([one[at] for one in some]) for some in read]) for at in (0, 1)
        )
        if layout is not None and layout.coding is not None:
            of_targets = select_configurations(own, layout.average(inner_score))
            selected = of_targets[..., layout.owners]
        else:
            selected = select_configurations(own, inner_score)
        found[encoder] = EncoderPieces(
            pieces, numbers, own, matrix.fold_ids, choice, inner_score, selected
        )
    return found


def list_blocks(truth: TargetTruth, configurations: int, resamples: int) -> list[slice]:
    """List blocks of targets whose predictions are held at once.

    Targets with folds of their own, or several outputs each, are few, and are one block. Others
    are cut where resamples are drawn for the next targets anyway, so that sums keep their order
    and scores their bits.

    Args:
        truth: Labels and folds.
        configurations: Of all encoders.
        resamples: Of the bootstrap.
    """
    count = len(truth.targets)
    if truth.fold_ids.ndim == 3 or truth.layout.coding is not None:
        return [slice(0, count)]
    step = targets_at_once(resamples)
    each = 4 * truth.repeats * len(truth.values) * configurations
    width = max(1, BLOCK_BYTES // each // step) * step
    starts = list(range(0, count, width))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()  # sums over patients of one target alone are made in another order
    ends = [*starts[1:], count]
    return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


def list_repeats(truth: TargetTruth, configurations: int) -> Iterator[slice]:
    """Yield repeats whose predictions of all targets are held at once.

    Args:
        truth: Labels and folds.
        configurations: Of one encoder.
    """
    each = 4 * truth.values.size * configurations
    step = max(1, BLOCK_BYTES // each) if truth.repeats_alike else truth.repeats
    for start in range(0, truth.repeats, step):
        yield slice(start, min(truth.repeats, start + step))
