"""Scores of a slide's tiles as files: a table, and GeoJSON for QuPath."""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from histo_ray.config import digest
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.tiles.tile_contributions import TileScores
from histo_ray.predict.heat.heat_sources import HeatSource
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.predict.heat.tile_scores import ScoredTiles
from histo_ray.schema import arrow_schema
from histo_ray.store.exchange.geojson import Rgb, TileMark, tile_feature
from histo_ray.types import JsonObject

KEY = b"histo_ray"
SCALES = {
    Link.LOGISTIC: "log-odds of {target}",
    Link.IDENTITY: "{target} on the scale of the labels as trained on",
    Link.SOFTMAX: "logit of {target}",
}
"""What a score means, by the link of its head."""
_STRANGE = re.compile(r"[^A-Za-z0-9._-]")


def name_file(slide_id: str, target: str) -> str:
    """Name the files of a slide and target, without their suffixes; no two targets share one."""
    plain = _STRANGE.sub("-", target)
    return f"{slide_id}.{plain}" + ("" if plain == target else f"-{digest(target)[:6]}")


def describe_scores(
    source: HeatSource, scored: ScoredTiles, slide_id: str, synthetic: bool
) -> ScoreRecord:
    """Record whose scores a slide's are."""
    heads, tiles = scored.heads, scored.tiles
    key, receipt = tiles.find_slide(slide_id)
    return ScoreRecord(
        kind="scores",
        slide_id=slide_id,
        patient_id=tiles.patient,
        encoder=key.encoder,
        weights_sha256=receipt.encoder.weights_sha256,
        tiling=key.tiling,
        side=receipt.tiling.side,
        source=heads.origin,
        target=heads.target,
        scale=SCALES[heads.link].format(target=heads.target),
        out_of_fold=heads.out_of_fold,
        heads=heads.count,
        poolings=heads.names,
        exact=scored.scores.exact,
        decision=scored.decision,
        predicted=heads.predict(scored.decision),
        neutral=heads.neutral,
        slides=tuple(one.slide_id for one in tiles.receipts),
        tiles=receipt.tile_count,
        patient_tiles=tiles.count,
        where=source.slides.where or "",
        synthetic=synthetic,
        notes=source.notes,
    )


def tabulate_scores(scored: ScoredTiles, record: ScoreRecord) -> pa.Table:
    """Tabulate the tiles of one slide as `schemas/tile_scores.json` describes, with its record."""
    rows = scored.tiles.rows_of(record.slide_id)
    coords, scores = scored.coords[rows], scored.scores
    count = len(coords)
    columns = {
        "slide_id": pa.repeat(record.slide_id, count),
        "patient_id": pa.repeat(record.patient_id, count),
        "tile_id": scored.tiles.tile_ids_of(record.slide_id).astype(np.int32),
        "x": coords[:, 0],
        "y": coords[:, 1],
        "target": pa.repeat(record.target, count),
        "score": scores.score[rows],
        "weight": scores.weight[rows],
        "contribution": scores.contribution[rows],
    }
    schema = arrow_schema("tile_scores")
    return with_record(pa.table({name: columns[name] for name in schema.names}, schema), record)


def with_record(table: pa.Table, record: ScoreRecord) -> pa.Table:
    """Put a record into a table's metadata."""
    return table.replace_schema_metadata({KEY: record.model_dump_json()})


def parse_record(schema: pa.Schema) -> ScoreRecord | None:
    """Read the record of a table that was written here; None if it has none that is known."""
    try:
        return ScoreRecord.model_validate_json((schema.metadata or {})[KEY])
    except (KeyError, ValidationError):
        return None


def score_features(
    scores: TileScores,
    coords: npt.NDArray[np.int32],
    tile_ids: npt.NDArray[np.int64],
    record: ScoreRecord,
    colours: npt.NDArray[np.uint8],
    bands: tuple[float, float],
    band_colours: tuple[Rgb, Rgb, Rgb],
) -> Iterator[JsonObject]:
    """Yield the tiles of one slide as QuPath's tile objects.

    Args:
        scores: Of the slide's N tiles.
        coords: (N, 2) top-left (x, y), level-0 px.
        tile_ids: (N,).
        record: Of the scores.
        colours: (N, 3) RGB of each tile.
        bands: Scores below the first are of class `<target> low`, above the second `<target> high`,
            between them `<target> middle`.
        band_colours: Of the three classes.
    """
    classes = [f"{record.target} {word}".replace(":", "-") for word in ("low", "middle", "high")]
    numbers = np.digitize(scores.score, bands)
    columns = zip(
        tile_ids.tolist(),
        coords.tolist(),
        scores.score.tolist(),
        scores.weight.tolist(),
        scores.contribution.tolist(),
        numbers.tolist(),
        colours.tolist(),
        strict=True,
    )
    for tile_id, (x, y), score, weight, contribution, number, colour in columns:
        measurements = {
            f"{record.target} score": score,
            f"{record.target} weight": weight,
            f"{record.target} contribution": contribution,
        }
        mark = TileMark(measurements, classes[number], band_colours[number], tuple(colour))
        yield tile_feature(tile_id, (x, y), record.side, mark)


def take_rows(scored: ScoredTiles, slide_id: str) -> tuple[TileScores, npt.NDArray[np.int32]]:
    """Scores and coords of the tiles of one slide."""
    rows = scored.tiles.rows_of(slide_id)
    scores = scored.scores
    taken = (scores.score[rows], scores.weight[rows], scores.contribution[rows])
    return TileScores(*taken, scores.exact), scored.coords[rows]
