"""Classes of the tiles of slides, by a predictor that was fitted on labelled tiles."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.predict.external.prediction_record import PredictionRecord
from histo_ray.predict.external.prediction_run import PredictionRun
from histo_ray.predict.made_once import Say
from histo_ray.schema import arrow_schema
from histo_ray.store.partition_vectors import CountedPartition, read_pieces
from histo_ray.store.replaced import read_again
from histo_ray.store.tables import PIECES, TableFolder

TILE_SCORES = "probability of the class, or score where the head has no probabilities"
PATIENTS_AT_ONCE = 50
"""Patients of a piece: the classes of their tiles are held together."""
_THREADS = 4


def classify_slides(run: PredictionRun, folder: TableFolder, say: Say) -> PredictionRecord:
    """Classify the tiles of all slides, piece by piece; pieces that are there are not made again.

    Args:
        run: What is applied to what.
        folder: Gets `shares.parquet`, and `tiles.parquet` where it is asked for.
        say: Told how far it is.

    Raises:
        StoreError: A partition cannot be read.
    """
    began = time.monotonic()
    schemas = {"shares": arrow_schema("predicted_shares")}
    if run.tiles:
        schemas["tiles"] = arrow_schema("predicted_classes")
    pieces, numbers = folder.child(PIECES), list[int]()
    done = set(pieces.names())
    for number, groups in enumerate(run.list_patients(PATIENTS_AT_ONCE)):
        numbers.append(number)
        if f"shares-{number:05d}.parquet" not in done:  # written last
            tiles = classify_tiles(run, [one for group in groups.values() for one in group])
            found = {"tiles": tiles, "shares": tabulate_shares(run, tiles)}
            for name in reversed(schemas):
                pieces.write(f"{name}-{number:05d}", [found[name]], schemas[name])
        ready = min(len(run.groups), (number + 1) * PATIENTS_AT_ONCE)
        say(f"{ready}/{len(run.groups)} patients' tiles classified")
    for name, schema in schemas.items():
        folder.write(name, (pieces.read(f"{name}-{n:05d}") for n in numbers), schema)
    count = sum(one.tiles for group in run.groups.values() for one in group)
    words = TILE_SCORES if run.tiles else ""
    return run.make_record(began, list(run.groups), count, float("nan"), words)


@read_again
def classify_tiles(run: PredictionRun, partitions: Sequence[CountedPartition]) -> pa.Table:
    """Classify all tiles of some slides, as rows of `schemas/predicted_classes.json`.

    Raises:
        StoreError: A partition cannot be read.
        ConfigError: Vectors of another width.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        tables = list(pool.map(lambda one: _classify(run, one), partitions))
    return pa.concat_tables([arrow_schema("predicted_classes").empty_table(), *tables])


def tabulate_shares(run: PredictionRun, tiles: pa.Table) -> pa.Table:
    """Count the classes of each slide, as rows of `schemas/predicted_shares.json`.

    Args:
        run: Whose classes; one without a tile has a row, too.
        tiles: From `classify_tiles`; all tiles of their slides.
    """
    (part,) = run.predictor.parts.linear
    patients = {key.slide_id: r.slide.patient_id for key, r in run.slides.receipts.items()}
    rows = list(_count_classes(tiles, part.targets, run.predictor.card.name, patients))
    return pa.Table.from_pylist(rows, arrow_schema("predicted_shares"))


def _classify(run: PredictionRun, partition: CountedPartition) -> pa.Table:
    (part,) = run.predictor.parts.linear
    labels = pa.array(part.targets, pa.string())
    schema = arrow_schema("predicted_classes")
    tables = [schema.empty_table()]
    for piece in read_pieces(run.store.root, partition):
        scores = run.predictor.predict_tiles(piece.vectors)
        best = scores.argmax(1)
        count = len(best)
        columns = {
            "predictor": pa.repeat(run.predictor.card.name, count),
            "slide_id": pa.repeat(partition.key.slide_id, count),
            "tile_id": partition.tile_ids[piece.start : piece.start + count],
            "x": piece.coords[:, 0],
            "y": piece.coords[:, 1],
            "label": labels.take(pa.array(best)),
            "probability": scores[np.arange(count), best],
            "outside": part.fit.scale.share_outside(piece.vectors),
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
        tables.append(pa.table(arrays, schema))
    return pa.concat_tables(tables)


def _count_classes(
    tiles: pa.Table, classes: Sequence[str], predictor: str, patients: Mapping[str, str]
) -> Iterator[dict[str, object]]:
    for slide in pc.unique(tiles["slide_id"]).to_pylist():
        own = tiles.filter(pc.equal(tiles["slide_id"], slide))
        counted = {row["values"]: row["counts"] for row in own["label"].value_counts().to_pylist()}
        outside = pc.mean(own["outside"]).as_py()
        for label in classes:
            count = counted.get(label, 0)
            yield {
                "predictor": predictor,
                "slide_id": slide,
                "patient_id": patients[slide],
                "label": label,
                "n_tiles": count,
                "share": count / len(own),
                "outside": outside,
            }
