"""What each tile adds to the predictions of its patient, as a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.deferred import deferred
from histo_ray.errors import StoreError
from histo_ray.predict.external.prediction_run import PredictionRun
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.schema import arrow_schema
from histo_ray.store.partition_vectors import CountedPartition, read_pieces, tile_ids_of

if TYPE_CHECKING:
    from histo_ray.predict.heat.tile_scores import ScoredTiles

_open_source = deferred("histo_ray.predict.heat.heat_sources:PredictorSource")  # imports torch

TILE_SCORES = (
    "contribution: its mean over all tiles of a patient is the patient's decision value, before "
    "the link and calibration; of poolings that are no weighted mean it is the jackknife's "
    "pseudo-value"
)


class TilePredictor:
    """Scores the tiles of the patients of one run."""

    def __init__(self, run: PredictionRun) -> None:
        """Take a run whose targets have scores of tiles."""
        predictor, slides = run.predictor, run.slides
        encoder = predictor.card.encoder.model_copy(update={"name": slides.encoder})
        card = predictor.card.model_copy(update={"encoder": encoder})  # as this store calls it
        self._run = run
        self._source = _open_source(
            run.store.root,
            FittedPredictor(card, predictor.parts),
            _no_evaluation,
            where=slides.where,
        )

    def tabulate(self, patient: str, partitions: Sequence[CountedPartition]) -> Iterator[pa.Table]:
        """Yield rows of `schemas/predicted_tiles.json`, a target at a time.

        Raises:
            StoreError: A slide cannot be read.
            ConfigError: A pooling of which it cannot be said what a tile adds.
        """
        outside = self._find_outside(partitions)
        for target in self._run.tile_targets:
            scored = self._source.score(target, patient)
            yield _tabulate(self._run.predictor.card.name, target, scored, outside)

    def _find_outside(self, partitions: Sequence[CountedPartition]) -> npt.NDArray[np.bool_]:
        """Whether each tile lies outside the predictor's range, (N,)."""
        tile_range = self._run.predictor.parts.tile_range
        found = [
            np.zeros(len(piece.vectors), bool)
            if tile_range is None
            else tile_range.distances(piece.vectors) > tile_range.limit
            for partition in partitions
            for piece in read_pieces(self._run.store.root, partition)
        ]
        return np.concatenate(found)


def _tabulate(
    predictor: str, target: str, scored: "ScoredTiles", outside: npt.NDArray[np.bool_]
) -> pa.Table:
    slides, tile_ids = [], []
    for key, receipt in scored.tiles.receipts.items():
        slides += [key.slide_id] * receipt.tile_count
        tile_ids.append(tile_ids_of(receipt))
    count = len(slides)
    columns: dict[str, object] = {
        "predictor": pa.repeat(predictor, count),
        "target": pa.repeat(target, count),
        "patient_id": pa.repeat(scored.tiles.patient, count),
        "slide_id": pa.array(slides),
        "tile_id": np.concatenate(tile_ids),
        "x": scored.coords[:, 0],
        "y": scored.coords[:, 1],
        "score": scored.scores.score,
        "weight": scored.scores.weight,
        "contribution": scored.scores.contribution,
        "outside": outside,
    }
    schema = arrow_schema("predicted_tiles")
    return pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema)


def _no_evaluation() -> NoReturn:
    """Patients that the predictor was fitted on are left out, so nobody asks for this."""
    raise StoreError("patients that a predictor was fitted on have no predictions")
