"""Overlays that published predictors give: what tiles add to a patient's prediction, and classes.

They are computed when they are asked for, from embeddings and heads alone; nothing is written.
Patients that a predictor was fitted on are left to out-of-fold heads, which `histo-ray heatmap`
fits again: the overlay then says with which command.
"""

import math
import shlex
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.predict.card import PredictorCard
from histo_ray.predict.files import list_predictors, load_predictor, read_predictor_card
from histo_ray.predict.heat.predictor_heads import take_heads
from histo_ray.predict.heat.tile_scores import PatientTiles, ScoredTiles, score_patient
from histo_ray.predict.patient_hashes import find_overlap, is_known_slide
from histo_ray.predict.predictor import BAGS, FittedPredictor
from histo_ray.predict.target_slides import check_class_head, fits_slide
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.half_floats import widen
from histo_ray.store.partition_vectors import tile_ids_of
from histo_ray.text import did_you_mean, name_some
from histo_ray.types import PartitionKey
from histo_ray.view.score_sources import NUMBERS
from histo_ray.view.tile_numbers import TileNumbers
from histo_ray.view.viewed_store import ViewedSlide, ViewedStore

MOST_TARGETS = 12
"""Targets of a predictor that are offered unless some are named: those predicted best."""
KEPT = 4
"""Predictors, and scored patients, that are held at once."""


class _Offer(NamedTuple):
    """What an overlay shows."""

    predictor: str
    """Name in the store, or folder."""
    target: str
    """Target, or class of tiles; empty: the most probable class."""
    column: str = ""
    """One of `NUMBERS`; empty: classes of tiles."""


class PredictorSource:
    """Predictors in the store, and those that the settings name."""

    def __init__(self, store: ViewedStore) -> None:
        """Read the cards of all predictors; one that cannot be read is told of.

        Raises:
            ConfigError: A predictor that the settings name is not there.
        """
        self._store, self._home = store, store.config.store
        self._cards: dict[str, PredictorCard] = {}
        """By name in the store, or by folder."""
        for name in list_predictors(self._home):
            try:
                self._cards[name] = read_predictor_card(name, self._home)
            except HistoRayError as error:
                store.problems.append(f"predictor {name}: {error}")
        for named in store.config.predictor:
            if named not in self._cards:
                self._cards[named] = read_predictor_card(named, self._place(named))
        _check_targets(store.config.target, self._cards)
        self._load = lru_cache(KEPT)(self._load_one)
        self._score = lru_cache(KEPT)(self._score_patient)

    def _offer(self, slide: ViewedSlide) -> dict[str, _Offer]:
        """What there is of a slide, by the name that is shown."""
        found = dict[str, _Offer]()
        for name, card in self._cards.items():
            if not fits_slide(card, slide.key, slide.receipt):
                continue
            if card.kind == "classes":
                found.setdefault(f"class map of {card.name}", _Offer(name, ""))
                for label in card.target_names:
                    found.setdefault(f"probability of {label} ({card.name})", _Offer(name, label))
                continue
            for target in _choose_targets(card, self._store.config.target):
                words = {**dict.fromkeys(NUMBERS), "weight": _name_weight(card, target)}
                for column, word in words.items():
                    shown = f"{target}: {word or column} ({card.name})"
                    found.setdefault(shown, _Offer(name, target, column))
        return found

    def names(self, slide: ViewedSlide) -> list[str]:
        """What the predictors that fit a slide's tiles can say of it."""
        return list(self._offer(slide))

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Apply a predictor to the slide's tiles, or to all of its patient's.

        Raises:
            ConfigError: The predictor was fitted on the patient.
            StoreError: It, or the tiles, cannot be read.
        """
        offer = self._offer(slide)[name]
        if not offer.column:
            return self._classify(slide, offer)
        scored = self._score(offer.predictor, offer.target, slide.key)
        scores = getattr(scored.scores, offer.column)[scored.tiles.rows_of(slide.slide_id)]
        values = np.full(len(slide.rows), np.nan)
        values[scored.tiles.tile_ids_of(slide.slide_id)] = scores
        neutral = None if offer.column == "weight" else scored.heads.neutral
        note = f"{NUMBERS[offer.column]}, by predictor {self._cards[offer.predictor].name}"
        note += f"; it predicts {scored.heads.predict(scored.decision):.3g} of the patient"
        if self._cards[offer.predictor].cohort.patient_hashes is None:
            note += "; whom it was fitted on it does not say: too good if this patient, too"
        return TileNumbers(values, note, neutral)

    def _classify(self, slide: ViewedSlide, offer: _Offer) -> TileNumbers:
        card = self._cards[offer.predictor]
        shares = self._load(offer.predictor).predict_tiles(widen(slide.read_vectors()))
        chosen = choose_tiles(
            slide.root, {slide.key: slide.form}, {slide.key: slide.receipt}, card.where or None
        )
        unused = np.ones(len(shares), bool)
        unused[tile_ids_of(chosen[slide.key])] = False
        shares[unused] = np.nan
        note = f"by predictor {card.name}"
        if card.where:
            note += f", for tiles with {card.where}"
        if offer.target:
            return TileNumbers(shares[:, card.target_names.index(offer.target)], note)
        numbers = shares.argmax(axis=1).astype(np.float64)
        numbers[~np.isfinite(shares).all(axis=1)] = np.nan
        return TileNumbers(numbers, note, classes=card.target_names)

    def _place(self, name: str) -> str:
        """The store that a predictor is a name in; empty of a folder."""
        return "" if "/" in name else self._home

    def _load_one(self, name: str) -> FittedPredictor:
        return load_predictor(name, self._place(name))

    def _score_patient(self, name: str, target: str, key: PartitionKey) -> ScoredTiles:
        patient, card = self._store.read_patient(key), self._cards[name]
        self._check_unseen(card, target, key, PatientTiles(patient.patient, patient.receipts))
        chosen = choose_tiles(self._store.root, patient.forms, patient.receipts, card.where or None)
        full = {one: receipt for one, receipt in chosen.items() if receipt.tile_count}
        tiles = PatientTiles(patient.patient, full)
        if key not in full:
            raise ConfigError(f"slide {key.slide_id}: {chosen[key].empty_reason}")
        predictor = self._load(name)
        encoder = predictor.card.class_encoder
        check_class_head(self._store.store, predictor.card, predictor.home)
        return score_patient(
            self._store.root,
            tiles,
            take_heads(predictor, target),
            class_encoder=None if encoder is None else encoder.name,
        )

    def _check_unseen(
        self, card: PredictorCard, target: str, key: PartitionKey, tiles: PatientTiles
    ) -> None:
        """Refuse a patient that a predictor was fitted on.

        Raises:
            ConfigError: It was; says what shows the patient by out-of-fold heads.
        """
        known = find_overlap(card.cohort, [tiles.patient])
        if not known and not any(is_known_slide(card.cohort, r) for r in tiles.receipts.values()):
            return
        flags = {"predictor": card.name, "target": target, "slide": key.slide_id, "out": "heatmaps"}
        words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
        command = shlex.join(["histo-ray", "heatmap", self._home, *words])
        raise ConfigError(
            f"patient {tiles.patient}: predictor {card.name} was fitted on this patient, so only "
            "out-of-fold heads may be shown. Where it was fitted, they are fitted again by: "
            f"{command}; then start the viewer with --scores heatmaps"
        )


def _name_weight(card: PredictorCard, target: str) -> str:
    """What the weight of a tile is called: attention where the head sees all tiles."""
    pooling = card.parts[card.by_name[target].part].pooling
    return "attention" if pooling == BAGS else "weight"


def _choose_targets(card: PredictorCard, asked: tuple[str, ...]) -> list[str]:
    """Targets that are offered: those asked for, or the best, in the order of the card."""
    if asked:
        return [name for name in card.target_names if name in asked]
    ranked = sorted(card.targets, key=lambda one: math.inf if one.score is None else -one.score)
    best = {one.name for one in ranked[:MOST_TARGETS]}
    return [name for name in card.target_names if name in best]


def _check_targets(asked: tuple[str, ...], cards: dict[str, PredictorCard]) -> None:
    """See that somebody predicts each target that is asked for.

    Raises:
        ConfigError: Nobody does.
    """
    known = {name for card in cards.values() for name in card.target_names}
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"--target {name}: no predictor predicts it; they predict "
                f"{name_some(sorted(known)) or 'nothing'}{did_you_mean(name, sorted(known))}"
            )
