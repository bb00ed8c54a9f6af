"""Pictures' pieces, and stores with evaluations of any shape that a report is made from."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import stats

from histo_ray.evaluate.patients.patient_summary import summarise_encoders, summarise_pairs
from histo_ray.evaluate.tiles.tile_tables import summarise_tally
from histo_ray.learn.tiles.tissue_tables import (
    TileTruth,
    compare_encoders,
    tabulate_predictions,
    tally_predictions,
)
from histo_ray.report.charts.canvas import Picture
from histo_ray.schema import arrow_schema
from histo_ray.store.store import open_store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.types import Mpp, Outcome, Pyramid, RunRow, TileGrid, TissueMask

DOWNSAMPLE = (5.0, 4.0)  # x differs from y


@pytest.fixture
def pyramid() -> Pyramid:
    return Pyramid("S1", Mpp(0.25, 0.3), "file", ((4000, 2000), (1000, 500)))


@pytest.fixture
def overview() -> Picture:
    return np.full((500, 800, 3), 240, np.uint8)


@pytest.fixture
def mask() -> TissueMask:
    pixels = np.zeros((50, 100), bool)  # 40 level-0 px a mask px
    pixels[10:30, 20:70] = True
    return TissueMask(pixels, (40.0, 40.0))


@pytest.fixture
def grid() -> TileGrid:
    coords = np.array([[0, 0], [400, 0], [3600, 1600]], np.int32)  # up to both far edges
    return TileGrid("S1", coords, np.ones(3, np.float32), (400.0, 400.0))


@pytest.fixture(scope="session")
def evaluations() -> SimpleNamespace:
    """What makes stores with evaluations."""
    return SimpleNamespace(
        new_store=new_store,
        add_tissue=add_tissue,
        add_outcome=add_outcome,
        add_extraction=add_extraction,
    )


def new_store(folder: Path) -> Path:
    """An empty store."""
    open_store(str(folder), create=True)
    return folder


def add_tissue(
    store: Path,
    encoders: Sequence[str],
    classes: Sequence[str] = ("ADI", "LYM", "STR", "TUM"),
    run_id: str = "tiles-1a2b3c",
    tiles: int = 300,
    external: bool = True,
    **changes: Any,
) -> None:
    """A tissue evaluation, its statistics from the code that makes them."""
    rng = np.random.default_rng(7)
    labels = np.sort(rng.integers(0, len(classes), tiles)).astype(np.int32)
    groups = tuple(f"P{number % 12}" for number in range(tiles))
    truth = TileTruth(tuple(classes), labels, groups)
    settings = (("cv", 3), ("test", 1)) if external else (("cv", 3),)
    summary: dict[str, Any] = {}
    comparisons: list[dict[str, Any]] = []
    for split, repeats in settings:
        tallies = {}
        parts = np.stack([rng.permutation(12) % 5 for _ in range(repeats)])[
            :, np.arange(tiles) % 12
        ]
        for number, encoder in enumerate(encoders):
            tables = []
            for repeat in range(repeats):
                wrong = rng.random(tiles) < 0.16 / (number + 1)
                other = rng.integers(0, len(classes), tiles)
                predicted = np.where(wrong, other, labels).astype(np.int32)
                where = {"split": split, "encoder": encoder, "repeat": repeat}
                folds = parts[repeat].astype(np.int32)
                ones = np.ones(tiles, np.float32)
                tables.append(
                    tabulate_predictions(where, truth, folds, predicted, ones, ones.astype(float))
                )
            tallies[encoder] = tally_predictions(tables, truth, tiles)
        summary[split] = {
            name: summarise_tally(tally).model_dump(mode="json") for name, tally in tallies.items()
        }
        tested = parts if split == "cv" else None
        comparisons += compare_encoders(split, tallies, truth, 200, 0, tested)
    counts = {name: int((labels == k).sum()) for k, name in enumerate(classes)}
    about = {"sha256": "5e" * 32, "classes": counts, "tiles": tiles}
    sets = {"tiles": {"name": "crc-100k"} | about, "test_tiles": {"name": "crc-7k"} | about}
    snapshot = {"vectors_sha256": "aa" * 32, "weights_sha256": "bb" * 32}
    note = {
        "evaluation_version": 1, "task": "tissue", "head": "logistic", "inner_parts": 1,
        "folds": {"n_folds": 5, "repeats": 3, "seeds": [0, 1, 2], "sha256": "cd" * 32},
        "sets": sets if external else {"tiles": sets["tiles"]},
        "encoders": {e: {"crc-100k": snapshot | {"request": f"request:{e}"}} for e in encoders},
        "classes": list(classes), "summary": summary, "run_id": run_id,
        "comparisons": [
            {key: None if value != value else value for key, value in row.items()}
            for row in comparisons
        ],
        "warnings": ["no groups (patients) are known"], "created_at": "2026-11-24T10:00:00+00:00",
        "seconds": 12.0, "versions": {"histo_ray": "0.1", "python": "3.11"},
    }  # fmt: skip
    open_evaluation(str(store), "tissue", run_id).write_note("run", note | changes)


def add_outcome(
    store: Path,
    task: str,
    encoders: Sequence[str],
    genes: Sequence[str],
    run_id: str = "",
    patients: int = 60,
    repeats: int = 3,
    **changes: Any,
) -> None:
    """An evaluation of expression or mutation: some genes have signal, the later encoders more."""
    rng = np.random.default_rng(len(genes))
    folder = open_evaluation(str(store), task, run_id or f"{task}-4d5e6f")
    mutation = task == "mutation"
    metric = "auroc" if mutation else "pearson"
    chance, count = 0.5 if mutation else 0.0, len(genes)
    strength = np.clip(rng.normal(0.1, 0.14, count), -0.1, 0.45)
    strength[rng.random(count) < 0.5] = 0
    positives = rng.integers(6, max(8, patients // 2), count) if mutation else np.zeros(count, int)
    wide = 1.96 * (0.07 if mutation else 1 / np.sqrt(patients))
    targets, by_encoder = [], {}
    for number, encoder in enumerate(encoders):
        score = chance + strength * (0.8 + 0.25 * number) + rng.normal(0, wide / 5, count)
        if count > 2:
            score[-1] = np.nan  # a gene that could not be scored
        by_encoder[encoder] = score
        p = stats.norm.sf((score - chance) / (wide / 1.96))
        q = np.where(np.isnan(p), np.nan, np.minimum(1, np.nan_to_num(p) * max(1, count / 20)))
        nothing = np.full(count, np.nan)
        columns = {
            "task": [task] * count, "target": genes, "encoder": [encoder] * count,
            "metric": [metric] * count, "n_patients": [patients] * count,
            "positives": positives, "score": score, "low": score - wide, "high": score + wide,
            "spearman": nothing if mutation else score, "r2": nothing if mutation else score**2,
            "auprc": score / 2 if mutation else nothing, "p_chance": p, "q_chance": q,
            "p_paper": p,
        }  # fmt: skip
        targets.append(pa.table(columns, arrow_schema("outcome_targets")))
    folder.write("targets", targets, arrow_schema("outcome_targets"))
    pairs, means = [], []
    for a, b in itertools.combinations(encoders, 2):
        gap = by_encoder[b] - by_encoder[a]
        p = 2 * stats.norm.sf(np.abs(gap) / (wide / 5))
        columns = {
            "task": [task] * count, "target": genes, "encoder_a": [a] * count,
            "encoder_b": [b] * count, "metric": [metric] * count, "score_a": by_encoder[a],
            "score_b": by_encoder[b], "difference": gap, "low": gap - wide / 2,
            "high": gap + wide / 2, "p_corrected": p, "q_corrected": np.minimum(1, p * 3),
            "p_plain": p / 50, "p_delong": np.full(count, np.nan),
            "p_both": p, "q_both": np.minimum(1, p * 3), "q_found": np.where(p < 0.2, p, np.nan),
        }  # fmt: skip
        known = ~np.isnan(gap)
        mean = float(gap[known].mean()) if known.any() else np.nan
        means.append(
            {
                "task": task, "encoder_a": a, "encoder_b": b, "metric": metric,
                "targets": int(known.sum()), "difference": mean, "low": mean - 0.01,
                "score_a": float(np.nanmean(by_encoder[a])) if known.any() else np.nan,
                "score_b": float(np.nanmean(by_encoder[b])) if known.any() else np.nan,
                "high": mean + 0.01, "p": 0.02, "p_holm": 0.04, "df": 14.0,
            }
        )  # fmt: skip
        pairs.append(pa.table(columns, arrow_schema("outcome_comparisons")))
    folder.write("comparisons", pairs, arrow_schema("outcome_comparisons"))
    rows = [row for table in targets for row in table.to_pylist()]
    comparisons = [row for table in pairs for row in table.to_pylist()]
    cohort = {
        "patient_id": [f"TCGA-05-{number:04d}" for number in range(patients + 3)],
        "site": [f"{number % 4:02d}" for number in range(patients + 3)],
        "slides": [1 + number % 2 for number in range(patients + 3)],
        "used": [number < patients for number in range(patients + 3)],
        "reason": [""] * patients + ["no label", "no label", f"no features of {encoders[-1]}"],
    }
    table = pa.table(cohort, arrow_schema("outcome_cohort"))
    folder.write("cohort", [table], table.schema)
    if mutation:
        _write_predictions(folder, encoders, genes, positives, strength, patients, repeats)
    note = {
        "run_id": run_id, "task": task, "created_at": "2026-11-24T19:00:00+00:00",
        "seconds": 130.0, "remark": "",
        "labels": {
            "path": "labels/luad.csv", "sha256": "1f" * 32, "patients": patients + 1,
            "targets": count, "transform": "" if mutation else "log2(x + 1)",
            "dropped": [{"target": "FLAT1", "reason": "no variance"}],
            "notes": ["aliquot barcodes cut to patients"],
        },
        "cohort": {
            "slides": patients + 10, "slides_without_tiles": 2, "patients_used": patients,
            "patients_with_features": patients + 2, "patients_with_labels": patients + 1,
            "features_only": 2, "labels_only": 1, "lost": {e: k for k, e in enumerate(encoders)},
        },
        "encoders": {
            e: {
                "request": f"request:{e}", "weights_sha256": "bb" * 32, "partitions": 70,
                "snapshot_sha256": "ee" * 32, "dim": 2048, "tiling": "t0123456789abc",
            }
            for e in encoders
        },
        "folds": {
            "n_folds": 5, "repeats": repeats, "seeds": list(range(repeats)), "sha256": "cd" * 32,
            "kept_together": "patient",
        },
        "configurations": [{"encoder": e, "pooling": "mean", "head": "ridge"} for e in encoders],
        "settings": {"seed": 0}, "versions": {"histo_ray": "0.1", "python": "3.11"},
        "summary": {e: one.model_dump() for e, one in summarise_encoders(rows).items()},
        "pairs": [pair.model_dump() for pair in summarise_pairs(comparisons, rows, means)],
        "chance_test": "corrected resampled t-test", "warnings": [],
    }  # fmt: skip
    folder.write_note("run", note | changes)


def _write_predictions(
    folder: TableFolder,
    encoders: Sequence[str],
    genes: Sequence[str],
    positives: npt.NDArray[np.int64],
    strength: npt.NDArray[np.float64],
    patients: int,
    repeats: int,
) -> None:
    rng = np.random.default_rng(1)
    tables = []
    for (number, gene), encoder in itertools.product(enumerate(genes), encoders):
        truth = (np.arange(patients) < positives[number]).astype(np.float32)
        for repeat in range(repeats):
            noisy = rng.normal(0, 1, patients) + truth * 3 * strength[number]
            columns = {
                "task": ["mutation"] * patients, "target": [gene] * patients,
                "encoder": [encoder] * patients, "repeat": np.full(patients, repeat, np.int32),
                "patient_id": [f"TCGA-05-{row:04d}" for row in range(patients)],
                "fold": np.arange(patients, dtype=np.int32) % 5, "truth": truth,
                "predicted": (1 / (1 + np.exp(-noisy))).astype(np.float32),
                "pooling": ["mean"] * patients, "head": ["logistic"] * patients,
            }  # fmt: skip
            schema = arrow_schema("outcome_predictions")
            tables.append(pa.table([pa.array(columns[f.name], f.type) for f in schema], schema))
    folder.write("predictions", tables, arrow_schema("outcome_predictions"))


def add_extraction(store: Path, encoders: Sequence[str]) -> None:
    """Two extraction runs: what failed in the first may be done in the second."""
    opened = open_store(str(store))
    opened.write_run("20261101T000000-aaaaaa", [
        RunRow("mended", encoders[0], Outcome.FAILED, "disk full", 0, 1.0),
        *(
            RunRow("broken", e, Outcome.FAILED, "cannot be opened: <truncated>", 0, 1.0)
            for e in encoders
        ),
        RunRow("glass", encoders[0], Outcome.EMPTY, "no tissue", 0, 1.0),
    ])  # fmt: skip
    opened.write_run("20261102T000000-bbbbbb", [
        RunRow("mended", encoders[0], Outcome.DONE, "", 40, 1.0),
        RunRow("glass", encoders[0], Outcome.SKIPPED, "already stored", 0, 0.0),
    ])  # fmt: skip
