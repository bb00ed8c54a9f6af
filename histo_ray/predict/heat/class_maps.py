"""Classes of a slide's tiles by a tissue head: a fine-tuned encoder's own, or a predictor's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.errors import ConfigError
from histo_ray.pooling.class_heads import read_class_head
from histo_ray.pooling.class_weights import class_probabilities
from histo_ray.pooling.tile_classes import find_class_source
from histo_ray.predict.files import load_predictor
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from histo_ray.predict.heat.patient_tiles import EncoderSlides
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.predict.target_slides import find_target_slides, settle_where
from histo_ray.schema import arrow_schema
from histo_ray.store.catalog import list_partitions
from histo_ray.store.exchange.geojson import Rgb, TileMark, tile_feature
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import is_given
from histo_ray.store.location import Location, location_of
from histo_ray.store.partition_vectors import read_pieces
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.store import Store
from histo_ray.store.tilings import describe_tilings, find_tiling, one_of_each_tiling
from histo_ray.text import did_you_mean, name_some
from histo_ray.types import JsonObject

ScoreClasses = Callable[[Float32s], npt.NDArray[np.floating]]
"""(n, D) tiles -> (n, K) scores of the classes."""


@dataclass(frozen=True)
class ClassSource:
    """A tissue head, and the slides that it can be shown on."""

    name: str
    """Name of the encoder whose head it is, or of the predictor."""
    classes: tuple[str, ...]
    score: ScoreClasses
    slides: EncoderSlides
    scale: str


@dataclass(frozen=True)
class ClassifiedTiles:
    """The classes of all tiles of a slide."""

    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    numbers: npt.NDArray[np.int64]
    """(N,) class with the highest score, 0..K-1."""
    scores: Float32s
    """(N, K)."""
    tile_ids: npt.NDArray[np.int64]
    """(N,) ascending; not 0..N-1 where a condition drops some."""


def open_class_source(config: HeatmapConfig) -> ClassSource:
    """Open the tissue head of `class_encoder`, or of a predictor of classes.

    Raises:
        ConfigError: It is none, or has no slides.
        StoreError: It cannot be read, or does not fit its embeddings.
    """
    root = location_of(config.store)
    if config.predictor is None:
        return _open_encoder(root, config.class_encoder or "", config.tiling, config.where)
    predictor = load_predictor(config.predictor, config.predictor_store)
    card = predictor.card
    found = find_target_slides(Store(root), card, config.tiling)
    where = settle_where(card, config.where)
    slides = EncoderSlides(root, found.encoder, found.tiling, where=where)
    return ClassSource(card.name, card.target_names, predictor.predict_tiles, slides, "probability")


def classify_slide(root: Location, source: ClassSource, slide_id: str) -> ClassifiedTiles:
    """Find the class of each tile of a slide.

    Raises:
        ConfigError: The slide is not there.
        StoreError: It cannot be read.
    """
    partition = source.slides.partition_of(slide_id)
    pieces = list(read_pieces(root, partition))
    scores = np.concatenate([source.score(piece.vectors) for piece in pieces]).astype(np.float32)
    coords = np.concatenate([piece.coords for piece in pieces])
    return ClassifiedTiles(coords, scores.argmax(axis=1), scores, partition.tile_ids)


def describe_classes(
    source: ClassSource, found: ClassifiedTiles, slide_id: str, synthetic: bool
) -> ScoreRecord:
    """Record whose classes a slide's are."""
    key, receipt = source.slides.receipts[slide_id]
    return ScoreRecord(
        kind="classes",
        slide_id=slide_id,
        patient_id=receipt.slide.patient_id,
        encoder=key.encoder,
        weights_sha256=receipt.encoder.weights_sha256,
        tiling=key.tiling,
        side=receipt.tiling.side,
        source=source.name,
        scale=source.scale,
        slides=(slide_id,),
        tiles=len(found.coords),
        patient_tiles=len(found.coords),
        synthetic=synthetic,
        where=source.slides.where or "",
    )


def tabulate_classes(found: ClassifiedTiles, classes: tuple[str, ...], slide_id: str) -> pa.Table:
    """Tabulate the tiles as `schemas/tile_classes.json` describes."""
    count = len(found.coords)
    columns = {
        "slide_id": pa.repeat(slide_id, count),
        "tile_id": found.tile_ids.astype(np.int32),
        "x": found.coords[:, 0],
        "y": found.coords[:, 1],
        "label": pa.array(classes).take(pa.array(found.numbers)),
        "probability": found.scores.max(axis=1),
    }
    schema = arrow_schema("tile_classes")
    return pa.table({name: columns[name] for name in schema.names}, schema)


def tabulate_shares(found: ClassifiedTiles, classes: tuple[str, ...], slide_id: str) -> pa.Table:
    """Tabulate how much of the slide is of which class, as `schemas/class_shares.json` says."""
    counts = np.bincount(found.numbers, minlength=len(classes))
    columns = {
        "slide_id": pa.repeat(slide_id, len(classes)),
        "label": pa.array(classes),
        "n_tiles": counts.astype(np.int64),
        "share": counts / max(1, len(found.numbers)),
        "mean_probability": found.scores.mean(axis=0, dtype=np.float64),
    }
    schema = arrow_schema("class_shares")
    return pa.table({name: columns[name] for name in schema.names}, schema)


def class_features(
    found: ClassifiedTiles, classes: tuple[str, ...], colours: list[Rgb], side: tuple[float, float]
) -> Iterator[JsonObject]:
    """Yield the tiles as QuPath's tile objects, with the score of each class.

    Args:
        found: All tiles of the slide.
        classes: (K,) names.
        colours: (K,) RGB.
        side: (width, height) of a tile, level-0 px.
    """
    names = [name.replace(":", "-") for name in classes]
    columns = zip(
        found.tile_ids.tolist(),
        found.coords.tolist(),
        found.numbers.tolist(),
        found.scores.tolist(),
        strict=True,
    )
    for tile_id, (x, y), number, scores in columns:
        measurements = dict(zip(names, scores, strict=True))
        mark = TileMark(measurements, names[number], colours[number])
        yield tile_feature(tile_id, (x, y), side, mark)


def _open_encoder(root: Location, name: str, tiling: str | None, where: str | None) -> ClassSource:
    slides = EncoderSlides(root, name, _choose_tiling(root, name, tiling), where=where)
    receipts = dict(slides.receipts.values())
    source = find_class_source(root, receipts, None)
    head = read_class_head(root, source.card)

    def score(vectors: Float32s) -> Float32s:
        probabilities: Float32s = class_probabilities(head, vectors).T
        return probabilities

    return ClassSource(name, source.card.classes, score, slides, "probability")


def _choose_tiling(root: Location, encoder: str, asked: str | None) -> str:
    """The tiling of an encoder's slides that is asked for, or their only one.

    Raises:
        ConfigError: No slides, or several tilings and none is named.
    """
    every = list_partitions(root)
    own = {k: f for k, f in every.items() if k.encoder == encoder and not is_given(k.tiling)}
    if not own:
        names = sorted({key.encoder for key in every if not is_given(key.tiling)})
        raise ConfigError(
            f"encoder {encoder}: no slides in store {root.path}; it has those of "
            f"{name_some(names) or 'none'}{did_you_mean(encoder, names)}"
        )
    firsts = read_receipts(root, {key: own[key] for key in one_of_each_tiling(own)})
    if asked is not None:
        return find_tiling(asked, firsts)
    if len(firsts) > 1:
        raise ConfigError(
            f"encoder {encoder}: its slides are there in several tilings; name one with "
            f"--tiling: {describe_tilings(firsts)}"
        )
    return next(iter(firsts)).tiling
