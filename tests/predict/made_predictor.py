"""A small predictor that needs no evaluation, for tests of files, predictions and heat maps."""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.calibration import CalibrationMethod, choose_thresholds, fit_calibration
from histo_ray.learn.fit_heads import fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings, measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.heads.registry import TrainsOn
from histo_ray.learn.label_scale import fit_label_scale
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.fold import MilFold, train_mil_fold
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.patient_heads import PatientData
from histo_ray.learn.tiles.tile_range import measure_range
from histo_ray.predict.card import (
    CohortCard,
    EncoderCard,
    EvaluationCard,
    LabelsCard,
    PartCard,
    PredictorCard,
    TargetCard,
    TilingCard,
)
from histo_ray.predict.patient_hashes import hash_patient
from histo_ray.predict.predictor import BagPart, FittedPredictor, LinearPart, PredictorParts

Floats = npt.NDArray[np.float64]
PATIENTS, DIM = 40, 6
SALT = "5a17"


def make_bags(patients: int = PATIENTS, seed: int = 3) -> list[npt.NDArray[np.float16]]:
    """Tiles of each patient, 5 to 14 of them; the first two features follow the patient."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(patients, 2))
    bags = []
    for at, state in enumerate(states):
        tiles = rng.normal(size=(5 + at % 10, DIM))
        tiles[:, :2] += 2 * state
        bags.append(tiles.astype(np.float16))
    return bags


def pool_mean(bags: list[npt.NDArray[np.float16]]) -> npt.NDArray[np.float32]:
    """Mean of each bag, (P, D)."""
    return np.stack([bag.astype(np.float64).mean(0) for bag in bags]).astype(np.float32)


def make_labels(bags: list[npt.NDArray[np.float16]]) -> Floats:
    """Labels 0 and 1 of two genes, (P, 2); one is missing."""
    labels = (pool_mean(bags)[:, :2] > 0.2).astype(np.float64)
    labels[4, 1] = np.nan
    return labels


def make_predictor(name: str = "made", mil: bool = False) -> FittedPredictor:
    """Two mutated genes by logistic regression on means; with `mil` the second by attention."""
    bags = make_bags()
    features, labels = pool_mean(bags), make_labels(bags)
    data = PatientData(features, labels, ("ALPHA", "BETA"))
    fits = fit_patients(data, PatientHeadSettings("logistic", inner_folds=3))
    linear = tuple(LinearPart("mean", "logistic", fit) for fit in fits)
    attention: tuple[BagPart, ...] = ()
    if mil:
        linear = linear[: [part.targets for part in linear].index(("ALPHA",)) + 1]
        linear = tuple(part for part in linear if part.targets == ("ALPHA",))
        attention = (_train_attention(bags, labels),)
    parts = PredictorParts(
        linear, attention, fit_label_scale("", labels, labels), measure_range(bags)
    )
    return FittedPredictor(_describe(name, parts, labels, features), parts)


def make_class_predictor(classes: tuple[str, ...], dim: int = DIM) -> FittedPredictor:
    """A predictor `tissue` of classes of tiles, whatever their encoder's tiling, drawn weights."""
    made = make_predictor("tissue")
    train, nothing = np.random.default_rng(3).normal(size=(30, dim)), np.full(len(classes), np.nan)
    weights = np.random.default_rng(4).normal(size=(dim, len(classes)))
    bias = np.zeros(len(classes))
    fit = LinearFit(classes, measure_scale(train), weights, bias, Link.SOFTMAX, nothing, nothing)
    parts = PredictorParts((LinearPart("", "logistic", fit),), (), made.parts.label_scale, None)
    part = made.card.parts[0].model_copy(
        update={
            "trains_on": TrainsOn.TILES, "pooling": "", "targets": classes, "link": Link.SOFTMAX,
        }
    )  # fmt: skip
    target = made.card.targets[0]
    changes = {
        "task": "tissue", "kind": "classes", "parts": (part,),
        "encoder": made.card.encoder.model_copy(update={"dim": dim}),
        "tiling": TilingCard(fingerprint="x01", settings={"mpp": 0.5}),
        "targets": tuple(
            target.model_copy(update={"name": name, "thresholds": ()}) for name in classes
        ),
    }  # fmt: skip
    return FittedPredictor(made.card.model_copy(update=changes), parts)


def _train_attention(bags: list[npt.NDArray[np.float16]], labels: Floats) -> BagPart:
    settings = MilSettings(members=1, hidden=8, attention=4, epochs=3)
    fold_ids = np.where(np.isnan(labels[:, 1]), -1, np.arange(PATIENTS) % 2)
    members = tuple(
        train_mil_fold(
            MilFold(measure_bags(bags), labels[:, [1]], fold_ids, fold, settings, seed=0)
        )
        for fold in range(2)
    )
    return BagPart("mil", "", ("BETA",), members, 2)


def _describe(
    name: str, parts: PredictorParts, labels: Floats, features: npt.NDArray[np.float32]
) -> PredictorCard:
    every: list[LinearPart | BagPart] = [*parts.linear, *parts.bags]
    part_cards = tuple(
        PartCard(trains_on=TrainsOn.PATIENTS, pooling="mean", head=part.head, targets=part.targets,
                 link=Link.LOGISTIC)
        if isinstance(part, LinearPart)
        else PartCard(trains_on=TrainsOn.BAGS, pooling="bags", head="mil", targets=part.targets,
                      members=len(part.members))
        for part in every
    )  # fmt: skip
    targets = []
    for column, target in enumerate(("ALPHA", "BETA")):
        number = next(at for at, part in enumerate(every) if target in part.targets)
        guess = 1 / (1 + np.exp(-features[:, column].astype(np.float64)))
        calibration = fit_calibration(CalibrationMethod.PLATT, guess, labels[:, column])
        targets.append(
            TargetCard(
                name=target,
                n_patients=int(np.isfinite(labels[:, column]).sum()),
                positives=int(np.nansum(labels[:, column])),
                part=number,
                calibration=calibration,
                thresholds=choose_thresholds(guess, labels[:, column], 0.9, calibration),
                metric="auroc",
                score=0.9,
                low=0.8,
                high=0.95,
            )
        )
    hashes = sorted(hash_patient(SALT, f"P{at}") for at in range(PATIENTS))
    return PredictorCard(
        name=name,
        created="2026-01-01T00:00:00+00:00",
        fingerprint="f" * 64,
        file_sha256="",
        task="mutation",
        kind="binary",
        encoder=EncoderCard(name="sharp", request="sharp", weights_sha256="ab" * 32, dim=DIM),
        tiling=TilingCard(fingerprint="t0123456789ab", settings={"mpp": 0.5, "tile_px": 64}),
        labels=LabelsCard(sha256="cd" * 32, scale="probability of a mutation"),
        targets=tuple(targets),
        parts=part_cards,
        cohort=CohortCard(
            n_patients=PATIENTS, n_slides=PATIENTS, salt=SALT, patient_hashes=tuple(hashes)
        ),
        evaluation=EvaluationCard(
            task="mutation", run_id="mutation-0", folder="evaluations/mutation/mutation-0",
            repeats=1, n_folds=2, score=0.9,
        ),
        settings={},
        seed=0,
        versions={},
    )  # fmt: skip
