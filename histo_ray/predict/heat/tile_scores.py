"""Scores of all tiles of a patient by the heads of one target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.learn.tiles.tile_contributions import (
    TileScores,
    average_scores,
    influence_of,
    share_out,
)
from histo_ray.pooling.base import PoolingMethod
from histo_ray.pooling.class_heads import read_class_head
from histo_ray.pooling.registry import parse_pooling
from histo_ray.pooling.stored_tiles import StoredTiles, TileClassifier
from histo_ray.pooling.tile_classes import find_class_source
from histo_ray.predict.heat.target_heads import PooledHeads, TargetHeads
from histo_ray.store.catalog import list_partitions
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import count_tiles, tile_ids_of
from histo_ray.text import name_some
from histo_ray.types import Floats, PartitionKey, Receipt

_COLUMNS_AT_ONCE = 64
"""Columns of all tiles that are left out tile by tile at once."""
Vector = Callable[[str], Floats]
"""Pooling -> the patient's pooled vector, (D',), as heads were given it or would be."""


@dataclass(frozen=True)
class PatientTiles:
    """All slides of one patient, by one encoder."""

    patient: str
    receipts: Mapping[PartitionKey, Receipt]
    """Receipts of the slides that are pooled, each with tiles, in order of their ids."""

    @property
    def count(self) -> int:
        """Tiles of all slides."""
        return sum(receipt.tile_count for receipt in self.receipts.values())

    def rows_of(self, slide_id: str) -> slice:
        """Which of the patient's tiles are those of a slide.

        Raises:
            ConfigError: It is not among the slides.
        """
        start = 0
        for key, receipt in self.receipts.items():
            if key.slide_id == slide_id:
                return slice(start, start + receipt.tile_count)
            start += receipt.tile_count
        raise ConfigError(
            f"slide {slide_id}: not among the slides of patient {self.patient} that are pooled "
            f"({name_some([key.slide_id for key in self.receipts])})"
        )

    def tile_ids_of(self, slide_id: str) -> npt.NDArray[np.int64]:
        """tile_id of each tile of a slide that is scored, ascending."""
        return tile_ids_of(self.find_slide(slide_id)[1])

    def find_slide(self, slide_id: str) -> tuple[PartitionKey, Receipt]:
        """Find the partition of a slide; raises ConfigError as `rows_of`."""
        self.rows_of(slide_id)
        return next(pair for pair in self.receipts.items() if pair[0].slide_id == slide_id)


@dataclass(frozen=True)
class ScoredTiles:
    """All tiles of one patient, scored."""

    tiles: PatientTiles
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px of their slides."""
    scores: TileScores
    decision: float
    """Decision value of the patient: the mean over heads."""
    heads: TargetHeads


def score_patient(
    root: Location,
    tiles: PatientTiles,
    heads: TargetHeads,
    vector: Vector | None = None,
    class_encoder: str | None = None,
) -> ScoredTiles:
    """Score all tiles of a patient; memory holds a few numbers a tile, and tiles where it must.

    Args:
        root: The store.
        tiles: The patient's slides, all of them: a contribution is a share of the patient's value.
        heads: Of one target.
        vector: Gives the patient's pooled vectors; None: they are pooled here.
        class_encoder: As for poolings by class.

    Raises:
        ConfigError: A pooling of which it cannot be said what a tile adds.
        StoreError: A slide cannot be read.
    """
    forms = list_partitions(root, *next(iter(tiles.receipts))[:2])
    partitions = [count_tiles(k, forms[k], r) for k, r in tiles.receipts.items()]
    parts, decisions, counts = [], [], []
    for one in heads.pooled:
        method = parse_pooling(one.pooling)
        classifier = _find_classifier(root, tiles, class_encoder) if method.needs_head else None
        stored = StoredTiles(root, partitions, classifier)
        pooled = vector(one.pooling) if vector else _pool(method, stored, tiles.patient)
        decision = float(np.mean([fit.decide(pooled[None])[0, 0] for fit in one.fits]))
        parts.append(_share_out_pooled(method, stored, one, pooled, decision))
        decisions.append(decision)
        counts.append(len(one.fits))
    stored = StoredTiles(root, partitions)
    if heads.bags:
        bag = _join_bags(stored)
        found = [head.score_tiles(bag) for head in heads.bags]
        parts.append(average_scores(found, [1] * len(found)))
        decisions.append(float(parts[-1].contribution.mean()))
        counts.append(len(found))
    coords = np.concatenate([piece.coords for piece in stored.read_pieces()])
    return ScoredTiles(
        tiles,
        coords,
        average_scores(parts, counts),
        float(np.average(decisions, weights=counts)),
        heads,
    )


def _share_out_pooled(
    method: PoolingMethod, tiles: StoredTiles, heads: PooledHeads, pooled: Floats, decision: float
) -> TileScores:
    """Share out the mean decision of some heads on one pooling among the tiles."""
    weights = np.mean([fit.raw_weights[:, 0] for fit in heads.fits], axis=0)
    weighed = method.weigh_tiles(tiles)
    if weighed is not None:
        projected, shares = [], []
        for piece, share in weighed:
            blocks = weights.reshape(len(share), -1)
            projected.append(blocks @ piece.vectors.astype(np.float64).T)
            shares.append(share)
        settled = method.settle_weights(np.concatenate(shares, axis=1))
        return share_out(np.concatenate(projected, axis=1), settled, decision)
    return influence_of(*_leave_each_out(method, tiles, weights), decision)


def _leave_each_out(
    method: PoolingMethod, tiles: StoredTiles, weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Product of weights with the pooled vectors of all tiles but one, (N,), and of all.

    Raises:
        ConfigError: The pooling cannot say.
    """
    bag = _join_bags(tiles)
    count, dim = bag.shape
    whole = method.pool(tiles).vector
    if count < 2 or whole is None:
        return np.zeros(count), 0.0
    without = np.zeros(count)
    for start in range(0, dim, _COLUMNS_AT_ONCE):
        cut = slice(start, min(dim, start + _COLUMNS_AT_ONCE))
        parts = method.pool_without_each(bag[:, cut].astype(np.float64))
        if not parts:
            raise ConfigError(
                f"pooling {method.name}: it does not say what a single tile adds, so there is no "
                "heat map of it; evaluate with --pooling mean for one"
            )
        for part, block in zip(parts, weights.reshape(len(parts), dim), strict=True):
            without += part @ block[cut]
    return without, float(whole.astype(np.float64) @ weights)


def _pool(method: PoolingMethod, tiles: StoredTiles, patient: str) -> Floats:
    vector = method.pool(tiles).vector
    if vector is None:
        raise ConfigError(
            f"patient {patient}: pooling {method.name} leaves no tile of any weight, so there is "
            "no prediction to show"
        )
    return vector


def _find_classifier(
    root: Location, tiles: PatientTiles, class_encoder: str | None
) -> TileClassifier:
    source = find_class_source(root, dict(tiles.receipts), class_encoder)
    return TileClassifier(source, read_class_head(root, source.card))


def _join_bags(tiles: StoredTiles) -> npt.NDArray[np.floating]:
    """All tiles, (N, D), as they are stored."""
    joined: npt.NDArray[np.floating] = np.concatenate(tiles.read_bags())
    return joined
