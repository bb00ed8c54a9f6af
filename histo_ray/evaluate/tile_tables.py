"""All tables of an evaluation on labelled tiles, and its record."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

from histo_ray._version import __version__
from histo_ray.cohort.fold_table import tabulate_folds
from histo_ray.cohort.folds import Folds
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import (
    RECORD_VERSION,
    TestsRecord,
    TileComparisonRecord,
    TileScoresRecord,
    TissueRecord,
)
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tile_units import CV, EmbeddedSet, TileUnit
from histo_ray.learn.tile_heads import TileHeadSettings
from histo_ray.learn.tile_metrics import ClassScores
from histo_ray.learn.tissue_scores import Draws, score_encoder
from histo_ray.learn.tissue_tables import (
    Row,
    TileTally,
    compare_encoders,
    tally_predictions,
    to_table,
)
from histo_ray.learn.tissue_tests import TileSupport
from histo_ray.schema import arrow_schema
from histo_ray.store.tables import TableFolder
from histo_ray.tilesets.tileset import TileSet

_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "ray")


@dataclass(frozen=True)
class TissuePlan:
    """All that is known before the first head is trained."""

    config: TissueConfig
    sets: Mapping[str, TileSet]
    """By split."""
    embedded: Mapping[str, EmbeddedSet]
    """By split."""
    folds: Folds
    """Folds of the tiles that are cross-validated."""
    settings: TileHeadSettings
    support: TileSupport


class TileResult(NamedTuple):
    """What an evaluation found."""

    tallies: dict[str, dict[str, TileTally]]
    """By split, then encoder."""
    comparisons: list[Row]
    summary: list[Row]
    """Of every split and encoder."""


def list_tile_units(plan: TissuePlan) -> list[TileUnit]:
    """List the units in the order of the tables: by split, encoder and repeat."""
    return [
        TileUnit(split, name, repeat, plan.settings)
        for split in plan.embedded
        for name in plan.embedded[CV].vectors
        for repeat in range(plan.folds.repeats if split == CV else 1)
    ]


def write_tile_tables(folder: TableFolder, pieces: TableFolder, plan: TissuePlan) -> TileResult:
    """Write every table, in the order of the units whatever order they were done in.

    Args:
        folder: Of the run.
        pieces: Of its units.
        plan: Tiles, folds, resamples and seed.
    """
    config, folds = plan.config, plan.folds
    n_trained = len(plan.embedded[CV].truth.labels)
    units = list_tile_units(plan)
    tallies: dict[str, dict[str, TileTally]] = {split: {} for split in plan.embedded}
    comparisons, summary = list[Row](), list[Row]()
    draws = Draws(config.resamples, config.seed)
    for split, some in plan.embedded.items():
        tested = folds.fold_ids if split == CV else None
        for name in some.vectors:
            own = [unit for unit in units if (unit.split, unit.encoder) == (split, name)]
            tables = [pieces.read(unit.piece) for unit in own]
            tallies[split][name] = tally_predictions(tables, some.truth, n_trained)
            summary += [
                {"split": split, "encoder": name, **row}
                for row in score_encoder(tallies[split][name], some.truth, draws, tested)
            ]
        comparisons += compare_encoders(
            split, tallies[split], some.truth, config.resamples, config.seed, tested
        )
    everything = (pieces.read(unit.piece) for unit in units)
    folder.write("predictions", everything, arrow_schema("tissue_predictions"))
    all_tallies = [tally for by_name in tallies.values() for tally in by_name.values()]
    made = {
        "scores": to_table("tissue_scores", [row for t in all_tallies for row in t.scores]),
        "recalls": to_table("tissue_recalls", [row for t in all_tallies for row in t.recalls]),
        "summary": to_table("tissue_summary", summary),
        "comparisons": to_table("tissue_comparisons", comparisons),
        "folds": tabulate_folds(folds, [str(row) for row in range(n_trained)]),
    }
    for name, table in made.items():
        folder.write(name, [table], table.schema)
    return TileResult(tallies, comparisons, summary)


def make_tissue_record(
    folder: TableFolder,
    plan: TissuePlan,
    identity: Mapping[str, object],
    found: TileResult,
    caveats: Sequence[Caveat],
    began: float,
) -> TissueRecord:
    """Record all that decided the tables, and what they come to.

    Args:
        folder: Of the run.
        plan: What was done.
        identity: By whose digest the run is called.
        found: From `write_tile_tables`.
        caveats: Known before the work.
        began: When, by `time.monotonic`.
    """
    return TissueRecord.model_validate(
        {
            **identity,
            "record_version": RECORD_VERSION,
            "run_id": folder.folder.rpartition("/")[2],
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "remark": plan.config.remark,
            "synthetic": any(tiles.synthetic for tiles in plan.sets.values()),
            "tests": record_tests(plan.support),
            "caveats": tuple(caveats),
            "classes": plan.embedded[CV].truth.classes,
            "summary": {
                split: {
                    name: summarise_tally(
                        tally,
                        [r for r in found.summary if (r["split"], r["encoder"]) == (split, name)],
                    )
                    for name, tally in by_name.items()
                }
                for split, by_name in found.tallies.items()
            },
            "comparisons": [TileComparisonRecord.model_validate(r) for r in found.comparisons],
            "versions": {"histo_ray": __version__, "python": platform.python_version()}
            | {package: version(package) for package in _PACKAGES},
        }
    )


def summarise_tally(tally: TileTally, rows: Sequence[Row] = ()) -> TileScoresRecord:
    """Take means over folds, and the confusion over all repeats.

    Args:
        tally: Of one encoder.
        rows: Its scores with intervals, from `score_encoder`.
    """
    ends = {row["metric"]: (row["low"], row["high"]) for row in rows}
    accuracy = ends.get("accuracy", (None, None))
    balanced = ends.get("balanced_accuracy", (None, None))
    return TileScoresRecord(
        accuracy=tally.accuracy,
        accuracy_low=accuracy[0],
        accuracy_high=accuracy[1],
        balanced_accuracy=tally.balanced_accuracy,
        balanced_low=balanced[0],
        balanced_high=balanced[1],
        recalls=tuple(ClassScores(tally.confusion).recalls.tolist()),
        confusion=tuple(map(tuple, tally.confusion.tolist())),
    )


def record_tests(support: TileSupport) -> TestsRecord:
    """Record what tests over folds rest on."""
    free = support.degrees_of_freedom
    return TestsRecord(
        distinct_splits=(support.splits, support.splits),
        independent_units=(support.units, support.units),
        units_of_classes=support.units_of_classes,
        units_are=support.units_are,
        degrees_of_freedom=(free, free) if free == free else (),
    )
