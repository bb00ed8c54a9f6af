"""All tables of an evaluation on labelled tiles, and its record."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from histo_ray.evaluate.tiles.tile_units import (
    COLOUR,
    CV,
    RANDOM,
    TEST,
    EmbeddedSet,
    TileUnit,
    Vectors,
)
from histo_ray.learn.tiles.tile_heads import TileHeadSettings
from histo_ray.learn.tiles.tile_metrics import ClassScores
from histo_ray.learn.tiles.tissue_scores import Draws, score_encoder
from histo_ray.learn.tiles.tissue_tables import (
    Row,
    TileTally,
    TileTruth,
    compare_encoders,
    tally_predictions,
    to_table,
)
from histo_ray.learn.tiles.tissue_tests import TileSupport
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
    random: Folds | None = None
    """Folds that split inferred groups, which are scored beside `folds`."""
    colours: Mapping[str, Vectors] = field(default_factory=dict)
    """(N, D) colours of the tiles of each set, the baseline; empty: without it."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits in the order of tables: the one that leads, random folds, the external set."""
        beside = () if self.random is None else (RANDOM,)
        return (CV, *beside, *((TEST,) if TEST in self.embedded else ()))

    @property
    def rows(self) -> tuple[str, ...]:
        """Encoders, then the baseline."""
        return (*self.embedded[CV].vectors, *((COLOUR,) if self.colours else ()))

    def truth_of(self, split: str) -> TileTruth:
        """Classes and groups of the tiles that a split tests; random folds know no groups."""
        if split == RANDOM:
            return replace(self.embedded[CV].truth, groups=None)
        return self.embedded[split].truth

    def folds_of(self, split: str) -> Folds | None:
        """Folds of a split; None for the external set."""
        return {CV: self.folds, RANDOM: self.random}.get(split)


class TileResult(NamedTuple):
    """What an evaluation found."""

    tallies: dict[str, dict[str, TileTally]]
    """By split, then encoder."""
    comparisons: list[Row]
    summary: list[Row]
    """Rows of `tissue_summary`, one a split and encoder."""


def list_tile_units(plan: TissuePlan) -> list[TileUnit]:
    """List the units in the order of the tables: by split, encoder and repeat."""
    repeats = {
        split: 1 if folds is None else folds.repeats
        for split in plan.splits
        for folds in [plan.folds_of(split)]
    }
    return [
        TileUnit(split, name, repeat, plan.settings)
        for split in plan.splits
        for name in plan.rows
        for repeat in range(repeats[split])
    ]


def write_tile_tables(folder: TableFolder, pieces: TableFolder, plan: TissuePlan) -> TileResult:
    """Write every table, in the order of the units whatever order they were done in.

    Args:
        folder: Of the run.
        pieces: Of its units.
        plan: Tiles, folds, resamples and seed.
    """
    n_trained = len(plan.embedded[CV].truth.labels)
    units = list_tile_units(plan)
    config = plan.config
    tallies: dict[str, dict[str, TileTally]] = {split: {} for split in plan.splits}
    comparisons, summary = list[Row](), list[Row]()
    draws = Draws(config.resamples, config.seed)
    for split in plan.splits:
        truth, folds = plan.truth_of(split), plan.folds_of(split)
        tested = None if folds is None else folds.fold_ids
        for name in plan.rows:
            own = [unit for unit in units if (unit.split, unit.encoder) == (split, name)]
            tables = [pieces.read(unit.piece) for unit in own]
            tallies[split][name] = tally_predictions(tables, truth, n_trained)
            summary += [
                {"split": split, "encoder": name, **row}
                for row in score_encoder(tallies[split][name], truth, draws, tested)
            ]
        comparisons += _compare(split, tallies[split], plan)
    everything = (pieces.read(unit.piece) for unit in units)
    folder.write("predictions", everything, arrow_schema("tissue_predictions"))
    all_tallies = [tally for by_name in tallies.values() for tally in by_name.values()]
    made = {
        "scores": to_table("tissue_scores", [row for t in all_tallies for row in t.scores]),
        "recalls": to_table("tissue_recalls", [row for t in all_tallies for row in t.recalls]),
        "summary": to_table("tissue_summary", summary),
        "comparisons": to_table("tissue_comparisons", comparisons),
        "folds": tabulate_folds(
            plan.folds, [str(name) for name in plan.embedded[CV].truth.names.tolist()]
        ),
    }
    for name, table in made.items():
        folder.write(name, [table], table.schema)
    return TileResult(tallies, comparisons, summary)


def _compare(split: str, tallies: Mapping[str, TileTally], plan: TissuePlan) -> list[Row]:
    """Compare encoders, then each with the baseline, which bears on no q-value of the others."""
    config, truth, folds = plan.config, plan.truth_of(split), plan.folds_of(split)
    tested = None if folds is None else folds.fold_ids
    encoders = {name: tally for name, tally in tallies.items() if name != COLOUR}
    families = [encoders]
    if COLOUR in tallies:
        families += [{COLOUR: tallies[COLOUR], name: tally} for name, tally in encoders.items()]
    return [
        row
        for some in families
        for row in compare_encoders(split, some, truth, config.resamples, config.seed, tested)
    ]


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
            "baseline": COLOUR if plan.colours else "",
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
