"""A whole tissue evaluation: tile sets and encoders in, tables and a note of what was run out."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from histo_ray._version import __version__
from histo_ray.cluster.run_extract import extract_tilesets
from histo_ray.cluster.run_tissue import JudgedSet, Outcome, run_evaluation
from histo_ray.cohort.fold_table import parse_folds, read_fold_file
from histo_ray.cohort.folds import (
    Folds,
    draw_folds,
)
from histo_ray.config import digest
from histo_ray.encoders.published import read_card
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.evaluate.run_once import Evaluation, run_once
from histo_ray.evaluate.tissue_settings import TissueConfig
from histo_ray.extract.pipeline import Report as ReportCounts
from histo_ray.extract.slide import stored_name
from histo_ray.learn.fold_support import FEW_GROUPS
from histo_ray.learn.statistics import FEWEST_UNITS
from histo_ray.learn.tile_heads import HeadSettings, TissueTiles, choose_head, judge_fold
from histo_ray.learn.tissue_tables import Truth, tile_folds
from histo_ray.learn.tissue_tests import describe_tests
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.layout import is_given
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import check_disjoint
from histo_ray.tilesets.tileset import TileSet

EVALUATION_VERSION = 1
"""Raised whenever the code changes a prediction for the same settings and data."""
STATISTICS_VERSION = 2
"""Raised whenever the code changes a P value or interval; stands in the digest of runs with groups
or few tiles alone, as all others have the values of version 1."""
TRIED_ROWS = 2000
"""Rows of the fit that is timed beforehand."""
NO_GROUPS = (
    "no groups (patients) are known, so tiles of one patient may be in several folds: "
    "leakage cannot be excluded, and every score may be too high"
)

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class Said(NamedTuple):
    """Caveats of the reported scores."""

    warnings: list[str]
    remark: str


def run_tissue(
    config: TissueConfig,
    report_tiles: ReportCounts = lambda counts: None,
    say: Say = lambda text: None,
    report: Progress = lambda done, total: None,
) -> Evaluation:
    """Compare encoders on labelled tiles; what is in the store already is not done again.

    Args:
        config: What to do.
        report_tiles: Called while tiles are brought into the store.
        say: Called with lines worth knowing before the work: the cost.
        report: Called with (repeats done, repeats in all).

    Raises:
        HistoRayError: The run could not start, or tiles could not be extracted.
    """
    check_shipped(config)
    tiles = read_tileset(config.tiles)
    test = read_tileset(config.test_tiles) if config.test_tiles else None
    if test is not None:
        check_disjoint(tiles, test)
    truth = _truth_of(tiles)
    folds = plan_folds(config, tiles)
    names = _bring_in(config, [tiles] if test is None else [tiles, test], report_tiles)
    store = open_store(config.store)
    judged = _load(store, tiles, truth, names, config.check)
    tested = None if test is None else _load(store, test, _truth_of(test), names, config.check)
    dim = max(vectors.shape[1] for vectors in judged.vectors.values())
    rows = len(tiles) * (folds.n_folds - 1) // folds.n_folds
    fits = folds.n_folds * folds.repeats
    head = choose_head(config.head, config.solver, rows, dim, len(truth.classes), fits)
    settings = HeadSettings(head, min(config.inner_parts, folds.n_folds - 1))
    tests = describe_tests(tile_folds(folds.parts, truth), truth.labels)
    about = _describe(config, settings, folds, store, names, tiles, test)
    if tests.pop("few"):
        about = {"statistics_version": STATISTICS_VERSION} | about
    folder = open_evaluation(config.store, "tissue", f"{tiles.name}-{digest(about)[:12]}")

    def work() -> dict[str, Any]:
        sets = [tiles] if test is None else [tiles, test]
        warnings = find_marked(sets) + find_seen(config, sets)
        warnings += [NO_GROUPS] if tiles.groups is None else tell_few_groups(tests)
        say(describe_cost(judged, folds, settings, config))
        began = time.monotonic()
        outcome = run_evaluation(
            folder,
            judged,
            folds,
            settings,
            tested,
            address=config.address,
            resamples=config.resamples,
            seed=config.seed,
            report=report,
        )
        said = Said(warnings, config.remark)
        return _write_note(folder, about | {"tests": tests}, outcome, truth, said, began)

    return run_once(folder, say, work)


def tell_few_groups(tests: Mapping[str, Any]) -> list[str]:
    """Caveats of tests that rest on few groups, from `describe_tests`."""
    (count,), classes = tests["independent_units"][:1], tests["units_of_classes"]
    if count < FEWEST_UNITS:
        return [
            f"too few groups (patients): {count}, for a test over folds: no P value and no "
            f"interval is given; {FEWEST_UNITS} are needed"
        ]
    told = []
    if min(classes) < FEWEST_UNITS:
        told.append(
            f"some class has tiles of only {min(classes)} groups (patients): no P value is given "
            f"for its recall, nor for balanced accuracy; {FEWEST_UNITS} are needed"
        )
    if count < FEW_GROUPS:
        told.append(
            f"{count} groups (patients) only: tests over folds have few degrees of freedom, and "
            f"below some {FEW_GROUPS} groups P values are approximate"
        )
    return told


def find_marked(sets: list[TileSet]) -> list[str]:
    """Which tile sets are nobody's tissue by their own tables, in words."""
    return [
        f"SYNTHETIC data: the table of {tiles.name} marks its tiles so; no figure here says "
        "anything of patients"
        for tiles in sets
        if tiles.synthetic
    ]


def find_seen(config: TissueConfig, sets: list[TileSet]) -> list[str]:
    """Which encoders were fine-tuned on the very tiles that they are to be judged on, in words."""
    found = []
    for spec in resolve_encoders(config):
        if spec.published is None or spec.published_name is None:
            continue
        card = read_card(spec.published, spec.published_name)
        found += [
            f"{spec.name} was fine-tuned on the tiles of {tiles.name}, labels included: its score "
            "on them flatters; judge it on tiles of other patients"
            for tiles in sets
            if card is not None and card.data.digest == tiles.digest
        ]
    return found


def plan_folds(config: TissueConfig, tiles: TileSet) -> Folds:
    """The folds given, or drawn.

    Raises:
        ConfigError: They do not fit the tiles, or the tiles do not suffice for them.
    """
    if config.fold_file is None:
        return draw_folds(
            tiles.label_names, config.folds, config.repeats, config.seed, tiles.groups
        )
    table = read_fold_file(config.fold_file)
    items = [str(row) for row in range(len(tiles))]
    return parse_folds(table, items, tiles.label_names, tiles.groups, config.fold_file)


def describe_cost(
    tiles: JudgedSet, folds: Folds, settings: HeadSettings, config: TissueConfig
) -> str:
    """What the run will cost, from one fit of at most `TRIED_ROWS` tiles on this machine."""
    name, vectors = max(tiles.vectors.items(), key=lambda item: item[1].shape[1])
    rows = np.arange(0, len(vectors), max(1, len(vectors) // TRIED_ROWS))
    labels = tiles.truth.labels[rows]
    small = TissueTiles(np.asarray(vectors[rows]), labels, len(tiles.truth.classes))
    began = time.monotonic()
    judge_fold(small, folds.parts[0][rows], int(folds.parts[0][rows[0]]), settings)
    seconds = time.monotonic() - began
    growth = len(vectors) / len(rows)
    fits = folds.n_folds * folds.repeats * len(tiles.vectors)
    total = fits * seconds * growth ** (2 if settings.head == "knn" else 1)
    text = (
        f"{fits} fits of {settings.head} on {len(vectors)} x {vectors.shape[1]} ({name}): about "
        f"{total / 60:.1f} CPU minutes; one of {len(rows)} tiles took {seconds:.2f} s here"
    )
    if settings.head == "least-squares" and config.solver == "auto":
        text += "; logistic regression would cost many times that (--solver exact)"
    elif settings.head == "logistic" and total > 1800:
        text += "; --solver fast takes least squares in its place"
    return text


def _bring_in(config: TissueConfig, sets: list[TileSet], report: ReportCounts) -> list[str]:
    """Extract what the store lacks; the encoders' names there."""
    summary = extract_tilesets(config, sets, report)
    if summary.interrupted:
        raise KeyboardInterrupt
    lost = [row for row in summary.rows if row.outcome == "failed"]
    if lost:
        told = "; ".join(f"{row.slide_id} [{row.encoder}]: {row.reason}" for row in lost)
        raise HistoRayError(f"tiles: {told}")
    return [stored_name(spec.name, config.dtype) for spec in resolve_encoders(config)]


def _truth_of(tiles: TileSet) -> Truth:
    return Truth(tiles.classes, tiles.labels, tiles.groups)


def _load(store: Store, tiles: TileSet, truth: Truth, names: list[str], check: bool) -> JudgedSet:
    bags = {name: store.labelled(tiles.name, name, check) for name in names}
    for name, bag in bags.items():
        if bag.labels != tiles.label_names:
            raise ConfigError(
                f"tile set {tiles.name}, encoder {name}: the store has other labels than the "
                "files; --replace-changed extracts the set again"
            )
    return JudgedSet(truth, {name: bag.embeddings for name, bag in bags.items()})


def _describe(
    config: TissueConfig,
    settings: HeadSettings,
    folds: Folds,
    store: Store,
    names: list[str],
    tiles: TileSet,
    test: TileSet | None,
) -> dict[str, Any]:
    """All that decides the tables, and by whose digest the run is called."""
    sets = {"tiles": tiles} if test is None else {"tiles": tiles, "test_tiles": test}
    return {
        "evaluation_version": EVALUATION_VERSION,
        "task": "tissue",
        "head": settings.head,
        "inner_parts": settings.inner_parts,
        "folds": {
            "n_folds": folds.n_folds,
            "repeats": folds.repeats,
            "seeds": list(folds.seeds),
            "sha256": hashlib.sha256(folds.parts.tobytes()).hexdigest(),
        },
        "bootstrap": {"resamples": config.resamples, "seed": config.seed},
        "sets": {
            key: {"name": s.name, "sha256": s.digest, "classes": s.counts, "tiles": len(s)}
            for key, s in sets.items()
        },
        "encoders": {
            name: {s.name: _snapshot(store, name, s.name) for s in sets.values()} for name in names
        },
    }


def _snapshot(store: Store, encoder: str, name: str) -> dict[str, str]:
    """Digests of the partition that was judged, and of the weights that made it."""
    keys = [k for k in store.list_keys(encoder) if k.slide_id == name and is_given(k.tiling)]
    (receipt,) = store.receipts(keys).values()
    return {
        "vectors_sha256": receipt.vectors_sha256,
        "weights_sha256": receipt.encoder.weights_sha256,
        "request": receipt.encoder.request,
    }


def _write_note(
    folder: TableFolder,
    about: dict[str, Any],
    outcome: Outcome,
    truth: Truth,
    said: Said,
    began: float,
) -> dict[str, Any]:
    packages = ("numpy", "scipy", "scikit-learn", "pyarrow", "ray")
    note = about | {
        "run_id": folder.folder.rpartition("/")[2],
        "classes": list(truth.classes),
        "summary": {
            split: {name: tally.summary for name, tally in by_name.items()}
            for split, by_name in outcome.tallies.items()
        },
        "comparisons": [
            {key: None if value != value else value for key, value in row.items()}
            for row in outcome.comparisons
        ],
        "warnings": said.warnings,
        "remark": said.remark,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "versions": {"histo_ray": __version__, "python": platform.python_version()}
        | {package: version(package) for package in packages},
    }
    folder.write_note("run", note)
    return note
