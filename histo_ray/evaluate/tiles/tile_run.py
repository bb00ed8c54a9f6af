"""An evaluation on labelled tiles: tile sets and encoders in, tables and a record out."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from histo_ray.cohort.folds import Folds
from histo_ray.config import digest
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.stored_name import stored_name
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat, EncoderDigests, same_weights_caveats
from histo_ray.evaluate.evaluation_record import (
    FoldsRecord,
    TileEncoderRecord,
    TileSetRecord,
    TissueRecord,
)
from histo_ray.evaluate.events import CostEstimated
from histo_ray.evaluate.jobs import Host, PreparedRun, Tell, UnitJob
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.kept_tiles import (
    find_dropped,
    fits_tiles,
    identify_kept,
    keep_tiles,
)
from histo_ray.evaluate.tiles.tile_caveats import (
    check_leaks,
    find_score_caveats,
    find_tile_caveats,
)
from histo_ray.evaluate.tiles.tile_groups import (
    DrawnFolds,
    TileGroups,
    as_identity,
    choose_all_groups,
    draw_tile_folds,
    record_groups,
)
from histo_ray.evaluate.tiles.tile_separability import measure_separability
from histo_ray.evaluate.tiles.tile_tables import (
    TissuePlan,
    list_tile_units,
    make_tissue_record,
    write_tile_tables,
)
from histo_ray.evaluate.tiles.tile_units import (
    COLOUR,
    CV,
    TEST,
    EmbeddedSet,
    Vectors,
    check_vectors,
    needs_of,
    predict_unit,
    share_inputs,
)
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    choose_tile_head,
    predict_tile_fold,
)
from histo_ray.learn.tiles.tissue_tables import TileTruth, tile_folds
from histo_ray.learn.tiles.tissue_tests import count_tile_support
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.layout import is_given
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import check_disjoint
from histo_ray.tilesets.tile_traits import read_traits
from histo_ray.tilesets.tileset import TileSet

EVALUATION_VERSION = 1
"""Raised whenever the code changes a prediction for the same settings and data."""
STATISTICS_VERSION = 3
"""Raised whenever the code changes a P value or interval, so that no run is taken for one with
other values. 1 had no entry; 2 only with groups or few tiles; from 3 on it is always there."""
BASELINE_VERSION = 1
"""Raised whenever the code measures other colours; stands in the digest of every run, as each has
the baseline since 0.5.0. Predictions of encoders are as they were where patients are known."""
TRIED_ROWS = 2000
"""Rows of the fit that is timed beforehand."""

Snapshots = Mapping[str, Mapping[str, TileEncoderRecord]]
"""By encoder and tile set."""
Identity = dict[str, object]
"""All that decides the tables; its digest names the run."""


class PreparedTiles(PreparedRun):
    """An evaluation on tile sets that are in the store and put into folds."""

    def __init__(
        self,
        plan: TissuePlan,
        groups: Mapping[str, TileGroups],
        identity: Identity,
        encoders: Mapping[str, EncoderDigests],
        leaks: Sequence[Caveat] = (),
    ) -> None:
        """Take what `prepare_tiles` has read."""
        self.leaks = leaks
        self.plan = plan
        self.groups = groups
        self.encoders = encoders
        self.identity = identity
        name = f"{plan.sets[CV].name}-{digest(identity)[:12]}"
        self.folder = open_evaluation(plan.config.store, "tissue", name)

    def list_jobs(self, pieces: TableFolder) -> Iterator[UnitJob]:
        """Yield every repeat of every encoder, and the external test set."""
        yield make_tile_job(pieces, self.plan)

    def tell_inputs(self, tell: Tell) -> None:
        """Tell what heads will cost."""
        plan = self.plan
        tell(estimate_cost(plan.embedded[CV], plan.folds, plan.settings, plan.config))

    def find_caveats(self) -> list[Caveat]:
        """Find the caveats of tile sets, encoders and groups."""
        plan = self.plan
        return [
            *self.leaks,
            *find_tile_caveats(
                plan.config, list(plan.sets.values()), plan.support, self.groups[CV]
            ),
            *same_weights_caveats(self.encoders),
        ]

    def write_tables(
        self, pieces: TableFolder, caveats: Sequence[Caveat], began: float
    ) -> TissueRecord:
        """Score, test, compare and write."""
        found = write_tile_tables(self.folder, pieces, self.plan)
        stated = self.identity | {
            **record_groups(self.groups),
            "colour_auroc": measure_separability(self.plan),
        }
        record = make_tissue_record(self.folder, self.plan, stated, found, caveats, began)
        beside = find_score_caveats(record)
        return record.model_copy(update={"caveats": (*record.caveats, *beside)})


def prepare_tiles(config: TissueConfig, host: Host) -> PreparedTiles:
    """Read tile sets, bring them into the store, draw folds.

    Args:
        config: What to do.
        host: Extracts the tiles that the store lacks.

    Raises:
        HistoRayError: The run cannot start, or tiles could not be extracted.
    """
    check_shipped(config)
    sets = {CV: read_tileset(config.tiles)}
    if config.test_tiles:
        sets[TEST] = read_tileset(config.test_tiles)
        check_disjoint(sets[CV], sets[TEST])
    names = [stored_name(spec.name, config.dtype) for spec in resolve_encoders(config)]
    _check_names(names)
    whole, where = sets, None
    if config.where is not None:
        host.bring_tiles(config, list(sets.values()))
        sets, where = keep_tiles(open_store(config.store), sets, names, config.where)
    traits = {split: read_traits(tiles) for split, tiles in sets.items()}
    leaks = check_leaks(config, sets, traits)
    groups = choose_all_groups(config, sets, traits)
    drawn = draw_tile_folds(config, sets[CV], groups[CV])
    groups[CV] = drawn.groups
    if where is None:
        host.bring_tiles(config, list(whole.values()))
    store = open_store(config.store)
    embedded = {
        split: _load(store, tiles, groups[split], names, config.check)
        for split, tiles in sets.items()
    }
    for some in embedded.values():
        check_vectors(some)
    colours = {split: some.colours for split, some in traits.items()}
    plan = _lay_out(config, sets, embedded, drawn, colours)
    snapshots = {
        name: {tiles.name: _snapshot(store, name, tiles.name) for tiles in sets.values()}
        for name in names
    }
    encoders = {name: _digest_encoder(list(of.values())) for name, of in snapshots.items()}
    identity = identify(plan, snapshots) | as_identity(groups) | identify_kept(where)
    return PreparedTiles(plan, groups, identity, encoders, (*leaks, *find_dropped(where)))


def _check_names(names: Sequence[str]) -> None:
    if COLOUR in names:
        raise ConfigError(
            f"encoder {COLOUR}: this name belongs to the row of every tissue evaluation that sees "
            f"colour alone; give the encoder another, as in '...?name={COLOUR}-b'"
        )


def _lay_out(
    config: TissueConfig,
    sets: Mapping[str, TileSet],
    embedded: Mapping[str, EmbeddedSet],
    drawn: DrawnFolds,
    colours: Mapping[str, Vectors],
) -> TissuePlan:
    """Choose the head, which the baseline does not bear on, and count independent units."""
    folds, truth = drawn.folds, embedded[CV].truth
    dim = max(vectors.shape[1] for vectors in embedded[CV].vectors.values())
    rows = len(sets[CV]) * (folds.n_folds - 1) // folds.n_folds
    fits = folds.n_folds * folds.repeats
    head = choose_tile_head(config.head, config.solver, rows, dim, len(truth.classes), fits)
    settings = TileHeadSettings(head, min(config.inner_parts, folds.n_folds - 1))
    support = count_tile_support(tile_folds(folds.fold_ids, truth), truth.labels)
    return TissuePlan(config, sets, embedded, folds, settings, support, drawn.random, colours)


def make_tile_job(pieces: TableFolder, plan: TissuePlan) -> UnitJob:
    """Lay out every repeat of every encoder, and the external test set."""
    return UnitJob(
        pieces=pieces,
        work=predict_unit,
        inputs=share_inputs(
            plan.embedded,
            plan.folds.fold_ids,
            None if plan.random is None else plan.random.fold_ids,
            plan.colours,
        ),
        units=list_tile_units(plan),
        needs=needs_of(plan.embedded[CV]),
    )


def estimate_cost(
    tiles: EmbeddedSet, folds: Folds, settings: TileHeadSettings, config: TissueConfig
) -> CostEstimated:
    """Estimate what heads will cost, from one fit of at most `TRIED_ROWS` tiles on this machine."""
    name, vectors = max(tiles.vectors.items(), key=lambda item: item[1].shape[1])
    rows = np.arange(0, len(vectors), max(1, len(vectors) // TRIED_ROWS))
    labels = tiles.truth.labels[rows]
    small = EmbeddedTiles(np.asarray(vectors[rows]), labels, len(tiles.truth.classes))
    began = time.monotonic()
    fold_ids = folds.fold_ids[0][rows]
    predict_tile_fold(small, fold_ids, int(fold_ids[0]), settings)
    seconds = time.monotonic() - began
    growth = len(vectors) / len(rows)
    fits = folds.n_folds * folds.repeats * len(tiles.vectors)
    total = fits * seconds * growth ** (2 if settings.head == "knn" else 1)
    return CostEstimated(
        fits=fits,
        head=settings.head,
        rows=len(vectors),
        dim=vectors.shape[1],
        encoder=name,
        minutes=total / 60,
        tried_rows=len(rows),
        tried_seconds=seconds,
        cheaper_instead=settings.head == "least-squares" and config.solver == "auto",
        cheaper_possible=settings.head == "logistic" and total > 1800,
    )


def identify(plan: TissuePlan, snapshots: Snapshots) -> Identity:
    """List all that decides the tables, and by whose digest the run is called."""
    folds, config = plan.folds, plan.config
    keys = {CV: "tiles", TEST: "test_tiles"}
    beside = {} if plan.random is None else {"random_folds": _record_folds(plan.random)}
    return beside | {
        "statistics_version": STATISTICS_VERSION,
        "evaluation_version": EVALUATION_VERSION,
        "baseline_version": BASELINE_VERSION,
        "task": "tissue",
        "head": plan.settings.head,
        "inner_parts": plan.settings.inner_parts,
        "folds": _record_folds(folds),
        "bootstrap": {"resamples": config.resamples, "seed": config.seed},
        "sets": {
            keys[split]: TileSetRecord(
                name=tiles.name, sha256=tiles.digest, classes=tiles.counts, tiles=len(tiles)
            ).model_dump()
            for split, tiles in plan.sets.items()
        },
        "encoders": {
            name: {tiles: snapshot.model_dump() for tiles, snapshot in of_sets.items()}
            for name, of_sets in snapshots.items()
        },
    }


def _record_folds(folds: Folds) -> dict[str, object]:
    record = FoldsRecord(
        n_folds=folds.n_folds,
        repeats=folds.repeats,
        seeds=folds.seeds,
        sha256=hashlib.sha256(folds.fold_ids.tobytes()).hexdigest(),
    )
    return record.model_dump(exclude={"kept_together"})


def _load(
    store: Store, tiles: TileSet, groups: TileGroups, names: Sequence[str], check: bool
) -> EmbeddedSet:
    bags = {name: store.labelled(tiles.name, name, check) for name in names}
    for name, bag in bags.items():
        if not fits_tiles(bag, tiles):
            raise ConfigError(
                f"tile set {tiles.name}, encoder {name}: the store has other labels than the "
                "files; --replace-changed extracts the set again"
            )
    truth = TileTruth(tiles.classes, tiles.labels, groups.names, tiles.kept)
    vectors = {
        name: bag.embeddings if tiles.kept is None else bag.embeddings[tiles.kept]
        for name, bag in bags.items()
    }
    return EmbeddedSet(truth, vectors)


def _digest_encoder(snapshots: Sequence[TileEncoderRecord]) -> EncoderDigests:
    """Digest what was made of all tile sets by one encoder."""
    weights = {snapshot.weights_sha256 for snapshot in snapshots}
    vectors = digest([snapshot.vectors_sha256 for snapshot in snapshots])
    return EncoderDigests(weights.pop() if len(weights) == 1 else "", vectors)


def _snapshot(store: Store, encoder: str, name: str) -> TileEncoderRecord:
    """Record digests of the partition that is evaluated, and of the weights that made it."""
    keys = [k for k in store.list_keys(encoder) if k.slide_id == name and is_given(k.tiling)]
    (receipt,) = store.receipts(keys).values()
    return TileEncoderRecord(
        vectors_sha256=receipt.vectors_sha256,
        weights_sha256=receipt.encoder.weights_sha256,
        request=receipt.encoder.request,
    )
