"""Apply one predictor to a store: find what fits it, predict, and record it."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from histo_ray.errors import ConfigError
from histo_ray.learn.heads.registry import TrainsOn
from histo_ray.predict.card import CohortCard
from histo_ray.predict.external.class_predictions import classify_slides
from histo_ray.predict.external.patient_predictions import predict_cohort
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.predict.external.prediction_record import PredictionRecord
from histo_ray.predict.external.prediction_run import PredictionRun
from histo_ray.predict.made_once import Say, make_once, open_predictions
from histo_ray.predict.patient_hashes import find_overlap, is_known_slide
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.predict.slide_needs import provide_slide_encoders
from histo_ray.predict.target_slides import TargetSlides, find_target_slides, settle_where
from histo_ray.store.store import Store
from histo_ray.store.tables import TableFolder
from histo_ray.text import count_of, did_you_mean, join_or, name_some

MOST_TILE_TARGETS = 20
"""Targets of a table of tiles at most."""
_WORK: dict[TrainsOn, Callable[[PredictionRun, TableFolder, Say], PredictionRecord]] = {
    TrainsOn.TILES: classify_slides,
    TrainsOn.PATIENTS: predict_cohort,
    TrainsOn.BAGS: predict_cohort,
}
"""By what the heads of a predictor see."""


@dataclass(frozen=True)
class AppliedPredictor:
    """Predictions of one predictor that are in a store."""

    run: PredictionRun
    folder: TableFolder
    record: PredictionRecord


def apply_predictor(
    store: Store, predictor: FittedPredictor, config: PredictConfig, say: Say
) -> AppliedPredictor:
    """Predict the patients of a store, or the classes of its tiles; what is done is found.

    Args:
        store: Where the slides are, and where the tables go.
        predictor: What is applied.
        config: Settings; its predictors and labels are of no concern here.
        say: Called with lines that are worth knowing.

    Raises:
        StoreError: The store lacks what the predictor needs; says which command extracts it.
        ConfigError: Nobody is left to predict, or an unknown threshold.
    """
    run = _plan(store, predictor, config)
    for line in run.describe_start():
        say(line)
    if config.check:
        say(f"reading {count_of(len(run.slides.partitions), 'partition')} to check their digests")
        store.check(run.slides.partitions)
    folder = open_predictions(store.root, predictor.card.name, run.name)
    work = _WORK[predictor.card.parts[0].trains_on]
    record = make_once(folder, PredictionRecord, say, lambda: work(run, folder, say))
    return AppliedPredictor(run, folder, record)


def _plan(store: Store, predictor: FittedPredictor, config: PredictConfig) -> PredictionRun:
    """Find who is predicted."""
    card = predictor.card
    rules = list(dict.fromkeys(t.rule for target in card.targets for t in target.thresholds))
    if config.threshold and config.threshold not in rules:
        there = (
            f"it has {join_or(rules)}" if rules else "it has none, as its targets are no classes"
        )
        raise ConfigError(
            f"--threshold {config.threshold}: no threshold of predictor {card.name}; {there}"
        )
    where = settle_where(card, config.where)
    slides = find_target_slides(store, card, config.tiling, predictor.home, where)
    provide_slide_encoders(store.root, card, predictor.home, slides.receipts)
    groups = slides.by_patient()
    overlap = find_overlap(card.cohort, groups)
    renamed = _find_renamed(card.cohort, slides, overlap)
    known = overlap | renamed.keys()
    if len(known) == len(groups):
        others = " (under other names: it has their very vectors or files)" if renamed else ""
        raise ConfigError(
            f"predictor {card.name} was fitted on all {count_of(len(groups), 'patient')} of store "
            f"{store.root.path}{others}, so nobody is left to predict honestly; its "
            f"cross-validated scores are in {card.evaluation.folder}; "
            "predict in a store of other patients"
        )
    kept = {name: group for name, group in groups.items() if name not in known}
    return PredictionRun(
        store,
        predictor,
        slides,
        kept,
        tuple(sorted(overlap)),
        renamed,
        config.threshold,
        config.tiles,
        _choose_tile_targets(predictor, config),
    )


def _find_renamed(
    cohort: CohortCard, slides: TargetSlides, overlap: Collection[str]
) -> dict[str, int]:
    """Find patients that a predictor was fitted on under other names, by their slides.

    Returns:
        How many slides of each have the vectors or file of a slide that it was fitted on, sorted.
    """
    found = Counter(
        receipt.slide.patient_id
        for receipt in slides.receipts.values()
        if receipt.slide.patient_id not in overlap and is_known_slide(cohort, receipt)
    )
    return dict(sorted(found.items()))


def _choose_tile_targets(predictor: FittedPredictor, config: PredictConfig) -> tuple[str, ...]:
    """Targets whose tiles are scored, in the order of the predictor.

    Raises:
        ConfigError: One that it does not predict, or too many.
    """
    card = predictor.card
    if not config.tiles or card.parts[0].trains_on is TrainsOn.TILES:
        return ()
    unknown = [name for name in config.target if name not in card.target_names]
    if unknown:
        raise ConfigError(
            f"--target {', '.join(unknown)}: predictor {card.name} does not predict it; it "
            f"predicts {name_some(card.target_names)}{did_you_mean(unknown[0], card.target_names)}"
        )
    chosen = tuple(n for n in card.target_names if n in config.target or not config.target)
    if len(chosen) > MOST_TILE_TARGETS:
        raise ConfigError(
            f"--tiles: predictor {card.name} has {count_of(len(chosen), 'target')}, and each would "
            f"be a row a tile; name at most {MOST_TILE_TARGETS} with --target"
        )
    return chosen
