"""Predict the patients of a store, some at a time: pieces of the tables, which memory can hold."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.learn.tiles.tile_range import TileRange
from histo_ray.pooling.matrix import pool_partitions
from histo_ray.predict.external.prediction_record import PredictionRecord
from histo_ray.predict.external.prediction_run import Groups, PredictionRun
from histo_ray.predict.external.survival_predictions import (
    predicts_survival,
    tabulate_survival,
)
from histo_ray.predict.external.tile_predictions import TILE_SCORES, TilePredictor
from histo_ray.predict.made_once import Say
from histo_ray.schema import arrow_schema
from histo_ray.store.partition_vectors import CountedPartition, read_pieces
from histo_ray.store.patient_bags import read_patient_bag
from histo_ray.store.replaced import read_again
from histo_ray.store.store import Store
from histo_ray.store.tables import PIECES, TableFolder
from histo_ray.types import Floats as Vectors

Floats = npt.NDArray[np.float64]

PATIENTS_AT_ONCE = 200
"""Patients of a piece: their vectors and results are held together."""
BAGS_AT_ONCE = 8
"""Patients whose tiles are held together, for heads that see tiles."""
_THREADS = 4


class PatientPiece(NamedTuple):
    """Predictions of some patients."""

    patients: tuple[str, ...]
    """(P,) those with a vector of every pooling."""
    without_vector: tuple[str, ...]
    raw: Floats
    """(P, T)."""
    outside: Floats
    """(P,) share of tiles outside the range; nan without a range."""


def predict_cohort(run: PredictionRun, folder: TableFolder, say: Say) -> PredictionRecord:
    """Predict all patients, piece by piece; pieces that are there are not made again.

    Args:
        run: What is applied to what.
        folder: Gets `patients.parquet`, `survival.parquet` where the predictor has baseline
            hazards, and `tiles.parquet` where it is asked for.
        say: Told how far it is.

    Raises:
        StoreError: A partition cannot be read.
        ConfigError: A class head is missing.
    """
    began = time.monotonic()
    schema = arrow_schema("predicted_patients")
    pieces, names = folder.child(PIECES), list[str]()
    done = set(pieces.names())
    tiles = TilePredictor(run) if run.tiles else None
    for number, groups in enumerate(run.list_patients(PATIENTS_AT_ONCE)):
        names.append(f"patients-{number:05d}")
        if f"{names[-1]}.parquet" not in done:
            piece = predict_patients(run, groups)
            if tiles is not None:
                _write_tiles(tiles, piece, groups, pieces, f"tiles-{number:05d}")
            pieces.write(names[-1], [tabulate_patients(run, piece, groups)], schema)
        ready = min(len(run.groups), (number + 1) * PATIENTS_AT_ONCE)
        say(f"{ready}/{len(run.groups)} patients predicted")
    folder.write("patients", (pieces.read(name) for name in names), schema)
    words = ""
    if tiles is not None:
        found = (pieces.read(f"tiles-{number:05d}") for number in range(len(names)))
        folder.write("tiles", found, arrow_schema("predicted_tiles"))
        words = TILE_SCORES
    table = folder.read("patients")
    if predicts_survival(run.predictor.card):
        survival = tabulate_survival(run.predictor.card, table)
        folder.write("survival", [survival], survival.schema)
    first = table.filter(pc.field("target") == run.predictor.card.target_names[0])
    counts = first["n_tiles"].to_numpy()
    total = int(counts.sum())
    outside = float(first["outside"].to_numpy() @ counts) / max(1, total)
    return run.make_record(began, first["patient_id"].to_pylist(), total, outside, words)


@read_again
def predict_patients(run: PredictionRun, groups: Groups) -> PatientPiece:
    """Predict some patients.

    Args:
        run: What is applied to what.
        groups: Partitions of each patient.

    Raises:
        StoreError: A partition cannot be read.
        ConfigError: A class head is missing.
    """
    pooled = {name: _pool(run, groups, name) for name in run.predictor.card.poolings}
    there = [p for p in groups if all(p in vectors for vectors in pooled.values())]
    raw = [np.empty((0, len(run.predictor.card.targets)))]
    step = BAGS_AT_ONCE if run.predictor.card.needs_bags else max(1, len(there))
    for start in range(0, len(there), step):
        some = there[start : start + step]
        vectors: dict[str, npt.NDArray[np.floating]] = {
            name: np.stack([one[p] for p in some]) for name, one in pooled.items()
        }
        bags = None
        if run.predictor.card.needs_bags:
            bags = [_read_bag(run, groups[patient]) for patient in some]
        raw.append(run.predictor.predict(vectors, bags))
    lost = tuple(patient for patient in groups if patient not in set(there))
    found = np.concatenate(raw)
    return PatientPiece(tuple(there), lost, found, _measure_outside(run, groups, there))


def tabulate_patients(run: PredictionRun, piece: PatientPiece, groups: Groups) -> pa.Table:
    """Tabulate a piece as rows of `schemas/predicted_patients.json`, target by target."""
    card = run.predictor.card
    scale = run.predictor.parts.label_scale
    calibrated = run.predictor.calibrate(piece.raw)
    calls = run.predictor.call(piece.raw, run.threshold)
    count, width = piece.raw.shape
    words = np.array(["negative", "positive", ""], object)
    at = np.where(np.isnan(calls), 2, calls).astype(np.intp)
    columns: dict[str, object] = {
        "predictor": [card.name] * (count * width),
        "target": np.repeat(np.array(card.target_names, object), count),
        "patient_id": list(piece.patients) * width,
        "raw": piece.raw.T.reshape(-1),
        "calibrated": calibrated.T.reshape(-1),
        "label_value": scale.to_raw(calibrated).T.reshape(-1),
        "call": words[at].T.reshape(-1),
        "n_slides": [len(groups[p]) for p in piece.patients] * width,
        "n_tiles": [sum(one.tiles for one in groups[p]) for p in piece.patients] * width,
        "outside": np.tile(piece.outside, width),
    }
    schema = arrow_schema("predicted_patients")
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema)


def count_outside(
    store: Store, partitions: Sequence[CountedPartition], tile_range: TileRange
) -> int:
    """Count the tiles of some partitions that lie outside a range; memory holds a piece."""
    return sum(
        int((tile_range.distances(piece.vectors) > tile_range.limit).sum())
        for partition in partitions
        for piece in read_pieces(store.root, partition)
    )


def _write_tiles(
    tiles: TilePredictor, piece: PatientPiece, groups: Groups, pieces: TableFolder, name: str
) -> None:
    """Write the tiles of the patients of a piece; memory holds those of a patient and target."""
    pieces.write(
        name,
        (table for patient in piece.patients for table in tiles.tabulate(patient, groups[patient])),
        arrow_schema("predicted_tiles"),
    )


def _pool(run: PredictionRun, groups: Groups, pooling: str) -> dict[str, npt.NDArray[np.floating]]:
    """Pool the tiles of each patient; who has none of any weight is left out."""
    card = run.predictor.card
    partitions = {one.key: one.form for group in groups.values() for one in group}
    head = None if card.class_encoder is None else card.class_encoder.name
    frame = pool_partitions(run.store.root, partitions, pooling, "patient", head, run.slides.where)
    return dict(zip(frame.index, frame.to_numpy(), strict=True))


def _read_bag(run: PredictionRun, partitions: Sequence[CountedPartition]) -> Vectors:
    """Read the tiles of a patient, as many as heads were trained on; drawn with the same seed."""
    most = run.predictor.card.settings.get("bag_tiles")
    limit = most if isinstance(most, int) and most > 0 else None
    return read_patient_bag(run.store.root, partitions, limit, run.predictor.card.seed)


def _measure_outside(run: PredictionRun, groups: Groups, patients: Sequence[str]) -> Floats:
    tile_range = run.predictor.parts.tile_range
    if tile_range is None:
        return np.full(len(patients), np.nan)

    def share(patient: str) -> float:
        found = count_outside(run.store, groups[patient], tile_range)
        return found / sum(one.tiles for one in groups[patient])

    with ThreadPoolExecutor(_THREADS) as pool:
        return np.array([*pool.map(share, patients)], np.float64)
