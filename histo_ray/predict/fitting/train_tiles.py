"""A head of labelled tiles, trained on all of them: a predictor of classes of tiles."""

import numpy as np
from threadpoolctl import threadpool_limits

from histo_ray.errors import ConfigError
from histo_ray.evaluate.evaluation_record import TissueRecord
from histo_ray.evaluate.events import TrainingOnAll
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.tile_run import PreparedTiles
from histo_ray.evaluate.tiles.tile_units import CV, Vectors
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.heads.registry import TrainsOn, load_tile_head
from histo_ray.learn.label_scale import LabelScale
from histo_ray.learn.tiles.tile_heads import EmbeddedTiles, fit_tile_head
from histo_ray.learn.tiles.tile_range import TileRange, measure_range
from histo_ray.predict.card import (
    EncoderCard,
    EvaluationCard,
    LabelsCard,
    PartCard,
    TargetCard,
    TilingCard,
)
from histo_ray.predict.fitting.fit_settings import FitOptions
from histo_ray.predict.fitting.trainers import Trained
from histo_ray.predict.predictor import LinearPart, PredictorParts
from histo_ray.store.find import find_tile_set
from histo_ray.store.store import open_store
from histo_ray.types import Receipt

RANGE_TILES = 20_000
"""Tiles from which their range is measured."""
_SCORES = {
    "logistic": "probability of a class",
    "svm": "margin of a class against the rest",
    "least-squares": "fitted value of a class, about 0..1",
}


def check_head(config: TissueConfig) -> None:
    """Refuse a head that cannot be kept.

    Raises:
        ConfigError: It is not linear.
    """
    if load_tile_head(config.head).fit is None:
        raise ConfigError(
            f"--head {config.head}: it would keep all tiles, not weights, so it can be evaluated "
            "but not kept as a predictor; use --head logistic or svm"
        )


def train_tiles(
    prepared: PreparedTiles, evaluation: Evaluation, options: FitOptions, host: Host
) -> Trained:
    """Train the head on all tiles, its penalty chosen as for an external test set.

    Args:
        prepared: Tiles of one encoder.
        evaluation: Its cross-validation.
        options: Unused but for its type: names are written by the caller.
        host: Who is told.
    """
    plan = prepared.plan
    tiles, embedded = plan.sets[CV], plan.embedded[CV]
    ((encoder, vectors),) = embedded.vectors.items()
    host.tell(TrainingOnAll(len(tiles), "tile", 1))
    classes = embedded.truth.classes
    fit, tile_range = _fit(prepared, vectors)
    nothing = np.empty((len(classes), 0))
    head = plan.settings.head
    receipt = _read_receipt(plan.config, tiles.name, encoder)
    return Trained(
        parts=PredictorParts(
            (LinearPart("", head, fit),), (), LabelScale("", nothing, nothing), tile_range
        ),
        part_cards=(
            PartCard(
                trains_on=TrainsOn.TILES, pooling="", head=head, targets=classes, link=fit.link
            ),
        ),
        kind="classes",
        targets=_describe_classes(fit, tiles.counts, evaluation, encoder),
        encoder=EncoderCard(
            name=encoder,
            request=receipt.encoder.request,
            weights_sha256=receipt.encoder.weights_sha256,
            dim=receipt.encoder.dim,
            dtype=receipt.encoder.dtype,
            rotations=receipt.encoder.rotations,
        ),
        tiling=TilingCard(
            fingerprint=receipt.tiling.fingerprint,
            settings={"tile_px": tiles.tile_px, "mpp": plan.config.mpp},
        ),
        class_encoder=None,
        labels=LabelsCard(sha256=tiles.digest, scale=_SCORES.get(head, "score of a class")),
        evaluation=_describe_evaluation(evaluation, encoder),
        patients=tuple(dict.fromkeys(tiles.groups or ())),
        n_slides=0,
        sites=(),
    )


def _fit(prepared: PreparedTiles, vectors: Vectors) -> tuple[LinearFit, TileRange]:
    """Train the head and measure the range of its tiles; one thread, so that sums keep an order."""
    plan = prepared.plan
    truth = plan.embedded[CV].truth
    tiles = EmbeddedTiles(vectors, truth.labels, len(truth.classes))
    rows = np.arange(0, len(vectors), -(-len(vectors) // RANGE_TILES))
    with threadpool_limits(1):
        fit = fit_tile_head(tiles, truth.classes, plan.folds.fold_ids[0], plan.settings)
        return fit, measure_range([np.asarray(vectors[rows])])


def _describe_classes(
    fit: LinearFit, counts: dict[str, int], evaluation: Evaluation, encoder: str
) -> tuple[TargetCard, ...]:
    scores = _read_record(evaluation).summary[CV][encoder]
    return tuple(
        TargetCard(
            name=name,
            n_patients=counts[name],
            part=0,
            choice=float(fit.choice[at]),
            inner_score=float(fit.inner_score[at]),
            metric="recall",
            score=scores.recalls[at],
        )
        for at, name in enumerate(fit.targets)
    )


def _describe_evaluation(evaluation: Evaluation, encoder: str) -> EvaluationCard:
    record = _read_record(evaluation)
    return EvaluationCard(
        task=record.task,
        run_id=record.run_id,
        folder=evaluation.folder.folder,
        repeats=record.folds.repeats,
        n_folds=record.folds.n_folds,
        score=record.summary[CV][encoder].accuracy,
    )


def _read_record(evaluation: Evaluation) -> TissueRecord:
    if not isinstance(evaluation.record, TissueRecord):
        raise TypeError(f"the record of {evaluation.folder.folder} is not of labelled tiles")
    return evaluation.record


def _read_receipt(config: TissueConfig, name: str, encoder: str) -> Receipt:
    store = open_store(config.store)
    return store.read_receipt(find_tile_set(store.root, name, encoder))
