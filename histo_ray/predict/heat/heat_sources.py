"""Where the heads of a heat map come from: an evaluation's folds, or a predictor."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.find_run import find_run, prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.patient_run import PreparedTargets
from histo_ray.predict.files import load_predictor
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from histo_ray.predict.heat.out_of_fold import OutOfFold
from histo_ray.predict.heat.patient_tiles import EncoderSlides
from histo_ray.predict.heat.predictor_heads import take_heads
from histo_ray.predict.heat.target_heads import TargetHeads
from histo_ray.predict.heat.tile_scores import ScoredTiles, score_patient
from histo_ray.predict.patient_hashes import find_overlap, is_known_slide
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.predict.target_slides import find_target_slides, settle_where
from histo_ray.store.location import Location, location_of
from histo_ray.store.stated import read_stated
from histo_ray.store.store import Store
from histo_ray.text import did_you_mean, name_some


class HeatSource(Protocol):
    """Scores the tiles of patients."""

    name: str
    """Name of the run or predictor."""
    slides: EncoderSlides
    notes: tuple[str, ...]

    def check(self, target: str, patient: str) -> None:
        """Check that a patient's tiles can be scored, before any are; errors are of `score`."""

    def score(self, target: str, patient: str) -> ScoredTiles:
        """Score all tiles of a patient.

        Raises:
            ConfigError: It has no such target, or no heads for this patient.
            StoreError: Slides or tables cannot be read.
        """


class RunSource:
    """Out-of-fold heads of an evaluation."""

    def __init__(
        self,
        root: Location,
        prepared: PreparedTargets,
        encoder: str,
        most_repeats: int | None = None,
    ) -> None:
        """Take an evaluation that was joined again.

        Args:
            root: The store.
            prepared: From `prepare_again`.
            encoder: Name of one of its encoders.
            most_repeats: Repeats whose heads are averaged; None: all.
        """
        self.name = prepared.folder.folder.rpartition("/")[2]
        self.notes: tuple[str, ...] = ()
        self._root, self._prepared, self._encoder = root, prepared, encoder
        plan = prepared.parts[0].plan
        (tiling,) = {s.tiling for s in plan.found if s.encoder == encoder}
        where = plan.config.where
        self.slides = EncoderSlides(root, encoder, tiling, plan.patients.slides, where)
        self._most = most_repeats
        self._targets: dict[str, OutOfFold] = {}

    def check(self, target: str, patient: str) -> None:
        """Check that the run has the target, and predicted the patient."""
        self._find_heads(target).find_tested(patient)

    def _find_heads(self, target: str) -> OutOfFold:
        if target not in self._targets:
            self._targets[target] = OutOfFold(self._prepared, target, self._encoder)
        return self._targets[target]

    def score(self, target: str, patient: str) -> ScoredTiles:
        """Score a patient's tiles by the heads that did not see the patient."""
        heads = self._find_heads(target)
        return score_patient(
            self._root,
            self.slides.tiles_of(patient),
            heads.heads_of(patient, self._most),
            lambda pooling: heads.pooled_vector(patient, pooling),
            heads.prepared.plan.config.class_encoder,
        )


class PredictorSource:
    """A predictor's heads; for patients that it was fitted on, those of its evaluation."""

    def __init__(
        self,
        root: Location,
        predictor: FittedPredictor,
        open_run: Callable[[], RunSource],
        tiling: str | None = None,
        where: str | None = None,
    ) -> None:
        """Take a predictor of patients.

        Args:
            root: The store of the slides.
            predictor: As it was loaded.
            open_run: Opens the evaluation that the predictor's card names.
            tiling: Of the slides, where several fit.
            where: Condition on tiles that is asked for; None: that of the predictor.

        Raises:
            HistoRayError: The store has no slides of its encoder and tiling.
        """
        card = predictor.card
        self.name = card.name
        self._root, self._predictor, self._open_run = root, predictor, open_run
        found = find_target_slides(Store(root), card, tiling)
        where = settle_where(card, where)
        self.slides = EncoderSlides(root, found.encoder, found.tiling, where=where)
        self._run: RunSource | None = None
        people = {receipt.slide.patient_id for _, receipt in self.slides.receipts.values()}
        self._trained_on = find_overlap(card.cohort, people)
        receipts = [receipt for _, receipt in self.slides.receipts.values()]
        same = {r.slide.patient_id for r in receipts if is_known_slide(card.cohort, r)}
        self._renamed = same - self._trained_on
        self.notes: tuple[str, ...] = ()
        if card.cohort.patient_hashes is None:
            self.notes = (
                f"predictor {card.name} does not say whom it was fitted on: if the patient was "
                "among them, these scores are too good",
            )

    def check(self, target: str, patient: str) -> None:
        """Check that it predicts the target, and has heads for the patient."""
        if patient in self._renamed:
            raise ConfigError(
                f"patient {patient}: predictor {self.name} was fitted on this patient's slides "
                "under another name, so its own heads may not be shown; choose slides of other "
                "patients, or show these in the store that it was fitted in, under their name there"
            )
        if patient in self._trained_on:
            self._find_run(patient).check(target, patient)
        else:
            self._heads(target)

    def score(self, target: str, patient: str) -> ScoredTiles:
        """Score a patient's tiles by heads that were not trained on the patient."""
        if patient in self._trained_on:
            return self._find_run(patient).score(target, patient)
        encoder = self._predictor.card.class_encoder
        return score_patient(
            self._root,
            self.slides.tiles_of(patient),
            self._heads(target),
            class_encoder=None if encoder is None else encoder.name,
        )

    def _find_run(self, patient: str) -> RunSource:
        try:
            self._run = self._run or self._open_run()
            return self._run
        except StoreError as error:
            evaluation = self._predictor.card.evaluation
            raise StoreError(
                f"patient {patient}: predictor {self.name} was fitted on this patient, so only "
                f"out-of-fold heads may be shown, those of {evaluation.run_id}, which cannot be "
                f"had ({error}); give the store that it was fitted in, or choose slides of other "
                "patients"
            ) from None

    def _heads(self, target: str) -> TargetHeads:
        card = self._predictor.card
        if target not in card.target_names:
            raise ConfigError(
                f"--target {target}: predictor {card.name} does not predict it; it predicts "
                f"{name_some(card.target_names)}{did_you_mean(target, card.target_names)}"
            )
        return take_heads(self._predictor, target)


class Opened(NamedTuple):
    """A source of scores, and the targets that are asked of it."""

    source: HeatSource
    targets: Sequence[str]
    synthetic: bool


def open_source(config: HeatmapConfig, host: Host) -> Opened:
    """Open the evaluation or predictor of a heat map.

    Args:
        config: Names one of them.
        host: Told of what takes long.

    Raises:
        ConfigError: No target is named where there are several.
        HistoRayError: It cannot be had.
    """
    root = location_of(config.store)
    stated = read_stated(root)
    synthetic = any(slide in stated and stated[slide].synthetic for slide in config.slide)
    if config.run:
        run, known = _open_run(config, config.run, config.encoder, host)
        return Opened(run, _choose_targets(config, known, config.run), synthetic)
    predictor = load_predictor(config.predictor or "", config.predictor_store)
    card = predictor.card

    def open_run() -> RunSource:
        kept = card.settings.get("labels")  # the run may have been made from another folder
        labels = config.labels or (kept if isinstance(kept, str) else None)
        asked = config.model_copy(update={"labels": labels})
        return _open_run(asked, card.evaluation.run_id, card.encoder.name, host)[0]

    source = PredictorSource(root, predictor, open_run, config.tiling, config.where)
    targets = _choose_targets(config, card.target_names, card.name)
    return Opened(source, targets, synthetic or card.synthetic)


def _open_run(
    config: HeatmapConfig, run_id: str, encoder: str | None, host: Host
) -> tuple[RunSource, Sequence[str]]:
    _, record = find_run(config.store, run_id)
    if not isinstance(record, PatientRecord):
        raise ConfigError(
            f"--run {run_id}: an evaluation of labelled tiles, which says nothing of slides; give "
            "one of patients, or --class-encoder for a map of classes"
        )
    names = list(record.encoders)
    if encoder is None and len(names) > 1:
        raise ConfigError(
            f"--run {run_id}: it compares {name_some(names)}; name one of them with --encoder"
        )
    chosen = encoder or names[0]
    if chosen not in names:
        raise ConfigError(
            f"--encoder {chosen}: not in run {run_id}, which has {name_some(names)}"
            f"{did_you_mean(chosen, names)}"
        )
    changes = {} if config.labels is None else {"labels": config.labels}
    _check_where(config.where, record)
    prepared = prepare_again(config.store, record, host, changes)
    source = RunSource(location_of(config.store), prepared, chosen)
    return source, prepared.outputs


def _check_where(asked: str | None, record: PatientRecord) -> None:
    """Refuse a condition on tiles that is not the one of the run.

    Raises:
        ConfigError: The patients were predicted from other tiles.
    """
    own = None if record.where is None else record.where.text
    if asked not in (None, own):
        raise ConfigError(
            f"--where {asked!r}: run {record.run_id} was made of "
            f"{'all tiles' if own is None else f'tiles with {own}'}, and its heads say nothing of "
            "patients made of others; leave --where out, or evaluate with it and show that run"
        )


def _choose_targets(config: HeatmapConfig, known: Sequence[str], name: str) -> Sequence[str]:
    if config.target:
        return config.target
    if len(known) == 1:
        return known
    raise ConfigError(
        f"--target is missing: {name} has {name_some(list(known))}; name what shall be shown"
    )
