"""Tissue evaluation on Ray: a task a repeat and encoder, embeddings once in the object store.

Each repeat's predictions are written by the task that made them, so a run that was killed goes on
with the repeats that are missing, and its tables are those of an undisturbed run.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError
from threadpoolctl import threadpool_limits

from histo_ray.cluster.pool import original_error
from histo_ray.cluster.session import cluster_nodes, ray_session
from histo_ray.cohort.fold_table import tabulate_folds
from histo_ray.cohort.folds import (
    Folds,
)
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.evaluate.run_once import PIECES
from histo_ray.learn.tile_heads import (
    HeadSettings,
    TissueTiles,
    judge_fold,
    judge_others,
    sum_parts,
)
from histo_ray.learn.tissue_tables import (
    Row,
    Tally,
    Truth,
    compare_encoders,
    tabulate_predictions,
    tally_predictions,
    to_table,
)
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder

COPIES = 3
"""Float32 copies of the embeddings that a task holds at most."""
LARGE_BYTES = 1 << 28
"""Tasks above this ask Ray for their memory, so that it starts no more than fit."""

Vectors = npt.NDArray[np.floating]
Report = Callable[[int, int], None]
"""(tasks done, tasks in all)."""


@dataclass(frozen=True)
class JudgedSet:
    """Labelled tiles in the eyes of several encoders."""

    truth: Truth
    vectors: Mapping[str, Vectors]
    """(N, D) by encoder."""


class Unit(NamedTuple):
    """What one task does: a repeat, or the external test set."""

    split: str
    encoder: str
    repeat: int

    @property
    def piece(self) -> str:
        """Name of its table."""
        return f"{self.encoder}.{self.split}.{self.repeat}"


class Outcome(NamedTuple):
    """What an evaluation found."""

    tallies: dict[str, dict[str, Tally]]
    """By split, then encoder."""
    comparisons: list[Row]


def check_vectors(tiles: JudgedSet) -> None:
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


def judge_unit(
    unit: Unit,
    truth: Truth,
    vectors: Vectors,
    parts: npt.NDArray[np.int32],
    settings: HeadSettings,
    test: tuple[Truth, Vectors] | None,
) -> pa.Table:
    """All predictions of one repeat, or of the test set. Plain; no Ray."""
    tiles = TissueTiles(vectors, truth.labels, len(truth.classes))
    where = {"split": unit.split, "encoder": unit.encoder, "repeat": unit.repeat}
    if unit.split == "test" and test is not None:
        judged = judge_others(tiles, parts, test[1], settings)
        count = len(test[1])
        folds, choices = np.zeros(count, np.int32), np.full(count, judged.choice)
        return tabulate_predictions(
            where, test[0], folds, judged.predicted, judged.confidence, choices
        )
    moments = sum_parts(tiles, parts) if settings.head == "least-squares" else None
    predicted, choices = np.empty(len(parts), np.int32), np.empty(len(parts))
    confidence = np.empty(len(parts), np.float32)
    for fold in range(int(parts.max()) + 1):
        rows = parts == fold
        judged = judge_fold(tiles, parts, fold, settings, moments)
        predicted[rows], confidence[rows] = judged.predicted, judged.confidence
        choices[rows] = judged.choice
    return tabulate_predictions(where, truth, parts, predicted, confidence, choices)


def run_evaluation(
    folder: TableFolder,
    tiles: JudgedSet,
    folds: Folds,
    settings: HeadSettings,
    test: JudgedSet | None = None,
    *,
    address: str = "local",
    resamples: int = 2000,
    seed: int = 0,
    report: Report = lambda done, total: None,
) -> Outcome:
    """Judge all encoders on the same folds, and leave everything as tables in `folder`.

    Args:
        folder: Of this run alone: what lies there is taken for done.
        tiles: To be judged by cross-validation.
        folds: Of their rows.
        settings: Of the heads.
        test: External tiles, judged by heads trained on all of `tiles`.
        address: Ray to run on, as for `ray_session`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        report: Called when a task ends.

    Raises:
        ConfigError: Embeddings that are not finite.
    """
    sets = {"cv": tiles} if test is None else {"cv": tiles, "test": test}
    for judged in sets.values():
        check_vectors(judged)
    units = {
        split: [
            Unit(split, name, repeat)
            for name in tiles.vectors
            for repeat in range(folds.repeats if split == "cv" else 1)
        ]
        for split in sets
    }
    everything = [unit for some in units.values() for unit in some]
    pieces = folder.child(PIECES)
    there = set(pieces.names())
    todo = [unit for unit in everything if f"{unit.piece}.parquet" not in there]
    report(len(everything) - len(todo), len(everything))
    if todo:
        with ray_session(address):
            done = len(everything) - len(todo)
            for _ in _run_tasks(pieces, todo, tiles, folds, settings, test):
                done += 1
                report(done, len(everything))
    return _write_tables(folder, sets, units, folds, resamples, seed)


def _run_tasks(
    pieces: TableFolder,
    todo: list[Unit],
    tiles: JudgedSet,
    folds: Folds,
    settings: HeadSettings,
    test: JudgedSet | None,
) -> Iterator[Unit]:
    """Run the tasks, bounded in flight; each unit as its piece is written."""
    held = {name: ray.put(vectors) for name, vectors in tiles.vectors.items()}
    tested = {name: ray.put((test.truth, v)) for name, v in test.vectors.items()} if test else {}
    truth, parts = ray.put(tiles.truth), ray.put(folds.parts)
    task: Any = ray.remote(_write_piece).options(
        num_cpus=1,
        max_retries=3,
        **_memory(tiles),
    )
    waiting, running = list(reversed(todo)), dict[Any, Unit]()
    room = 2 * max(1, int(sum(node.cpus for node in cluster_nodes())))
    while waiting or running:
        while waiting and len(running) < room:
            unit = waiting.pop()
            beside = tested[unit.encoder] if unit.split == "test" else None
            ref = task.remote(pieces, unit, truth, held[unit.encoder], parts, settings, beside)
            running[ref] = unit
        (ref,), _ = ray.wait(list(running), num_returns=1)
        try:
            ray.get(ref)
        except RayTaskError as error:
            raise original_error(error) from None
        except (WorkerCrashedError, OutOfMemoryError) as error:
            raise HistoRayError(
                f"evaluation: processes keep dying on {running[ref].piece} "
                f"({str(error).splitlines()[0]}); a repeat may need more memory than there is; "
                "what is done stays done, and the same command goes on"
            ) from None
        yield running.pop(ref)


def _write_piece(
    pieces: TableFolder,
    unit: Unit,
    truth: Truth,
    vectors: Vectors,
    parts: npt.NDArray[np.int32],
    settings: HeadSettings,
    test: tuple[Truth, Vectors] | None,
) -> None:
    with threadpool_limits(1):  # its one CPU
        table = judge_unit(unit, truth, vectors, parts[unit.repeat], settings, test)
    pieces.write(unit.piece, [table], table.schema)


def _memory(tiles: JudgedSet) -> dict[str, int]:
    wanted = max(COPIES * 4 * vectors.size for vectors in tiles.vectors.values())
    most = max((node.memory_bytes for node in cluster_nodes()), default=0)
    return {"memory": min(wanted, most)} if wanted > LARGE_BYTES and most else {}


def _write_tables(
    folder: TableFolder,
    sets: Mapping[str, JudgedSet],
    units: Mapping[str, list[Unit]],
    folds: Folds,
    resamples: int,
    seed: int,
) -> Outcome:
    """All tables from the pieces, in the order of the units whatever order they were made in."""
    pieces = folder.child(PIECES)
    n_trained = len(sets["cv"].truth.labels)
    tallies: dict[str, dict[str, Tally]] = {split: {} for split in sets}
    comparisons: list[Row] = []
    for split, judged in sets.items():
        for name in judged.vectors:
            tables = [pieces.read(unit.piece) for unit in units[split] if unit.encoder == name]
            tallies[split][name] = tally_predictions(tables, judged.truth, n_trained)
        parts = folds.parts if split == "cv" else None
        comparisons += compare_encoders(split, tallies[split], judged.truth, resamples, seed, parts)
    everything = (pieces.read(unit.piece) for some in units.values() for unit in some)
    folder.write("predictions", everything, arrow_schema("tissue_predictions"))
    all_tallies = [tally for by_name in tallies.values() for tally in by_name.values()]
    made = {
        "scores": to_table("tissue_scores", [row for t in all_tallies for row in t.scores]),
        "recalls": to_table("tissue_recalls", [row for t in all_tallies for row in t.recalls]),
        "comparisons": to_table("tissue_comparisons", comparisons),
        "folds": tabulate_folds(folds, [str(row) for row in range(n_trained)]),
    }
    for name, table in made.items():
        folder.write(name, [table], table.schema)
    return Outcome(tallies, comparisons)
