"""Heads on labelled tiles: a repeat of an encoder, or its external test set, is a unit of work."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.errors import ConfigError
from histo_ray.evaluate.jobs import Inputs, Needs
from histo_ray.learn.heads.base import FoldIds
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    predict_other_tiles,
    predict_tile_fold,
    start_tile_head,
)
from histo_ray.learn.tiles.tissue_tables import TileTruth, tabulate_predictions

CV, RANDOM, TEST = "cv", "random", "test"
"""Splits: cross-validation of the tiles, the same by folds that split inferred groups, and the
external test set."""
COLOUR = "colour"
"""Name of the row that sees mean and standard deviation of colours alone; no encoder has it."""
FOLD_IDS = "fold ids"
"""Name of the (R, N) folds among the shared inputs."""
RANDOM_FOLD_IDS = "random fold ids"
"""The same of the folds that split inferred groups."""
COPIES = 3
"""Float32 copies of the embeddings that a unit holds at most."""
LARGE_BYTES = 1 << 28
"""Units that hold more ask for their memory, so that no more are started at once than fit."""

Vectors = npt.NDArray[np.floating]


@dataclass(frozen=True)
class EmbeddedSet:
    """Labelled tiles as several encoders embed them."""

    truth: TileTruth
    vectors: Mapping[str, Vectors]
    """(N, D) by encoder."""


@dataclass(frozen=True)
class TileUnit:
    """One repeat of one encoder, or the external test set."""

    split: str
    encoder: str
    repeat: int
    settings: TileHeadSettings

    @property
    def piece(self) -> str:
        """Name of its table."""
        return f"{self.encoder}.{self.split}.{self.repeat}"

    @property
    def fold_ids(self) -> str:
        """Name of its folds among the shared inputs; of the test set: those that choose a head."""
        return RANDOM_FOLD_IDS if self.split == RANDOM else FOLD_IDS

    @property
    def inputs(self) -> tuple[str, ...]:
        """Folds, labels and embeddings."""
        own = (self.fold_ids, truth_name(CV), vectors_name(CV, self.encoder))
        if self.split != TEST:
            return own
        return (*own, truth_name(TEST), vectors_name(TEST, self.encoder))


def truth_name(split: str) -> str:
    """Name the labels of a split among the shared inputs."""
    return f"labels of {split}"


def vectors_name(split: str, encoder: str) -> str:
    """Name the embeddings of a split among the shared inputs."""
    return f"{split} by {encoder}"


def share_inputs(
    sets: Mapping[str, EmbeddedSet],
    fold_ids: FoldIds,
    random_fold_ids: FoldIds | None = None,
    colours: Mapping[str, Vectors] | None = None,
) -> dict[str, object]:
    """Name all that units read.

    Args:
        sets: By split: `CV` and `TEST`.
        fold_ids: (R, N) folds of the tiles that are cross-validated.
        random_fold_ids: The same of the folds that split inferred groups.
        colours: (N, D) of each set's tiles.
    """
    shared: dict[str, object] = {FOLD_IDS: fold_ids}
    if random_fold_ids is not None:
        shared[RANDOM_FOLD_IDS] = random_fold_ids
    for split, own in (colours or {}).items():
        shared[vectors_name(split, COLOUR)] = own
    for split, some in sets.items():
        shared[truth_name(split)] = some.truth
        shared |= {vectors_name(split, name): vectors for name, vectors in some.vectors.items()}
    return shared


def check_vectors(tiles: EmbeddedSet) -> None:
    """Refuse embeddings that are not finite.

    Raises:
        ConfigError: Some are not; names the encoder and the first tile.
    """
    for name, vectors in tiles.vectors.items():
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise ConfigError(
                f"encoder {name}: {len(bad)} embeddings have nan or infinity "
                f"(first: tile_id {bad[0]}); extract them again with --dtype float32"
            )


def needs_of(tiles: EmbeddedSet) -> Needs:
    """What one unit is given: one CPU, and memory for copies of the widest embeddings."""
    needed = max(COPIES * 4 * vectors.size for vectors in tiles.vectors.values())
    return Needs(memory_bytes=needed if needed > LARGE_BYTES else 0)


def predict_unit(unit: TileUnit, inputs: Inputs) -> pa.Table:
    """Predict all tiles of a repeat, or of the test set; the work of a job."""
    truth: TileTruth = inputs[truth_name(CV)]
    fold_ids = inputs[unit.fold_ids][unit.repeat]
    vectors = inputs[vectors_name(CV, unit.encoder)]
    tiles = EmbeddedTiles(vectors, truth.labels, len(truth.classes))
    where = {"split": unit.split, "encoder": unit.encoder, "repeat": unit.repeat}
    if unit.split == TEST:
        others = inputs[vectors_name(TEST, unit.encoder)]
        found = predict_other_tiles(tiles, fold_ids, others, unit.settings)
        folds = np.zeros(len(others), np.int32)
        return tabulate_predictions(
            where,
            inputs[truth_name(TEST)],
            folds,
            found.predicted,
            found.confidence,
            np.full(len(others), found.choice),
        )
    score = start_tile_head(tiles, fold_ids, unit.settings)
    predicted, choices = np.empty(len(fold_ids), np.int32), np.empty(len(fold_ids))
    confidence = np.empty(len(fold_ids), np.float32)
    for fold in range(int(fold_ids.max()) + 1):
        rows = fold_ids == fold
        found = predict_tile_fold(tiles, fold_ids, fold, unit.settings, score)
        predicted[rows], confidence[rows] = found.predicted, found.confidence
        choices[rows] = found.choice
    return tabulate_predictions(where, truth, fold_ids, predicted, confidence, choices)
