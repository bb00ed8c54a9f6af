"""Labelled tiles of which the truth is known: the tissue part of `testing.coverage_cohorts`.

A patient has `TILES` tiles of random classes, of which there are equally many in all. A tile's
vector is that of its class, which is stronger or weaker, with what its patient's tiles have in
common and noise of its own. An encoder adds its own noise, as there. Whole patients are kept in one
fold.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import draw_folds
from histo_ray.learn.statistics import bootstrap_difference
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    predict_other_tiles,
    predict_tile_fold,
    start_tile_head,
)
from histo_ray.learn.tiles.tissue_scores import Draws, decision_noise, score_encoder
from histo_ray.learn.tiles.tissue_tables import (
    TileTally,
    TileTruth,
    compare_encoders,
    tabulate_predictions,
    tally_predictions,
)
from testing.coverage_cohorts import (
    BETTER,
    EQUAL,
    N_FOLDS,
    NEW_PATIENTS,
    NOISE,
    RESAMPLES,
    Cell,
    Row,
    encoders_of,
)

TILES, DIM, CLASSES = 3, 16, ("A", "B", "C")
BETWEEN = 0.5
"""Standard deviation of what a patient's tiles have in common; that of a tile's noise is 1."""
APART = {"no": 0.0, "weak": 0.15, "strong": 0.6}
"""Standard deviation of the classes' vectors in each feature."""
METRICS = (("accuracy", ""), ("balanced_accuracy", ""), ("recall", "A"))
Vectors = npt.NDArray[np.float32]


def draw_tiles(
    cell: Cell, patients: int, rng: np.random.Generator, centres: npt.NDArray[np.float64]
) -> tuple[TileTruth, dict[str, Vectors]]:
    """Draw classes, and vectors by encoder, of tiles about (3, D) centres."""
    count = patients * TILES
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int32)
    shared = np.repeat(rng.normal(size=(patients, DIM)), TILES, axis=0)
    vectors = centres[labels] + BETWEEN * shared + rng.normal(size=(count, DIM))
    groups = tuple(f"patient {number // TILES}" for number in range(count))
    return TileTruth(CLASSES, labels, groups), {
        name: (vectors + sd * rng.normal(size=vectors.shape)).astype(np.float32)
        for name, sd in NOISE.items()
    }


def simulate_tiles(cell: Cell, seed: int) -> Iterator[Row]:
    """Yield what an evaluation says of one cohort: a row a score, and a row a difference."""
    rng = np.random.default_rng([seed, cell.patients, 2])
    truth, vectors = draw_tiles(cell, cell.patients, rng, _draw_centres(cell, rng))
    names = [CLASSES[label] for label in truth.labels]
    folds = draw_folds(names, N_FOLDS, cell.repeats, seed, truth.groups)
    tallies = {
        name: _cross_validate(cell, truth, folds.fold_ids, name, vectors[name])
        for name in encoders_of(cell)
    }
    share = 1 / N_FOLDS
    for name, tally in tallies.items():
        found = score_encoder(tally, truth, Draws(RESAMPLES, seed), folds.fold_ids)
        for row in found:
            if (row["metric"], row["label"]) not in METRICS:
                continue
            tiles = truth.labels == 0 if row["label"] else truth.labels >= 0
            before = bootstrap_difference(
                tally.right[tiles],
                truth.labels if row["metric"] == "balanced_accuracy" else None,
                np.asarray(truth.groups)[tiles],
                RESAMPLES,
                seed,
            )
            yield {
                "of": name,
                "target": METRICS.index((row["metric"], row["label"])),
                "value": row["score"],
                "low": row["low"],
                "high": row["high"],
                "before_low": before.low,
                "before_high": before.high,
                "noise": float(decision_noise(tally.right[tiles], folds.repeats, share)[0]),
            }
    yield from _describe_differences(truth, tallies, folds.fold_ids, seed)


def measure_tiles(cell: Cell, seed: int) -> dict[tuple[str, int], float]:
    """Mean score on new patients of heads trained on a training part's number, by metric."""
    trained = round(cell.patients * (N_FOLDS - 1) / N_FOLDS)
    settings = TileHeadSettings(cell.head)
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(cell.truths):
        rng = np.random.default_rng([seed, cell.patients, 3, number])
        centres = _draw_centres(cell, rng)
        truth, vectors = draw_tiles(cell, trained, rng, centres)
        new, others = draw_tiles(cell, NEW_PATIENTS, rng, centres)
        parts = np.arange(len(truth.labels)) // TILES % (N_FOLDS - 1)
        for name in encoders_of(cell):
            tiles = EmbeddedTiles(vectors[name], truth.labels, len(CLASSES))
            predicted = predict_other_tiles(tiles, parts, others[name], settings).predicted
            right = predicted == new.labels
            recalls = [right[new.labels == k].mean() for k in range(len(CLASSES))]
            for at, value in enumerate((right.mean(), np.mean(recalls), np.mean(recalls))):
                found.setdefault((name, at), []).append(float(value))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _draw_centres(cell: Cell, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw the classes' vectors, all equally far apart."""
    corners = np.linalg.qr(rng.normal(size=(DIM, len(CLASSES))))[0].T
    return np.asarray(APART[cell.signal] * np.sqrt(DIM) * corners)


def _cross_validate(
    cell: Cell, truth: TileTruth, fold_ids: npt.NDArray[np.int32], name: str, vectors: Vectors
) -> TileTally:
    tiles = EmbeddedTiles(vectors, truth.labels, len(CLASSES))
    settings, tables = TileHeadSettings(cell.head), []
    for repeat, part in enumerate(fold_ids):
        score = start_tile_head(tiles, part, settings)
        predicted = np.empty(len(part), np.int32)
        for fold in range(N_FOLDS):
            found = predict_tile_fold(tiles, part, fold, settings, score)
            predicted[part == fold] = found.predicted
        where = {"split": "cv", "encoder": name, "repeat": repeat}
        nothing = np.zeros(len(part))
        table = tabulate_predictions(
            where, truth, part, predicted, nothing.astype(np.float32), nothing
        )
        tables.append(table)
    return tally_predictions(tables, truth, 0)


def _describe_differences(
    truth: TileTruth, tallies: dict[str, TileTally], fold_ids: npt.NDArray[np.int32], seed: int
) -> Iterator[Row]:
    for a, b in (EQUAL, BETTER):
        if b not in tallies:
            continue
        pair = {name: tallies[name] for name in (a, b)}
        now = compare_encoders("cv", pair, truth, RESAMPLES, seed, fold_ids)
        before = compare_encoders("test", pair, truth, RESAMPLES, seed)  # heads held fixed
        for row, old in zip(now, before, strict=True):
            if (row["metric"], row["label"]) in METRICS:
                yield {
                    "of": f"{b} - {a}",
                    "target": METRICS.index((row["metric"], row["label"])),
                    "value": row["difference"],
                    "low": row["low"],
                    "high": row["high"],
                    "p": row["p_corrected"],
                    "before_low": old["low"],
                    "before_high": old["high"],
                }
