"""Cohorts with a known truth: fit on one, validate on another, and hold both against the truth.

All is computed by the functions that `fit` and `predict` use: heads, calibration from out-of-fold
predictions, threshold, range of tiles, external scores. What is true of a fitted predictor is
measured on very many further patients of the second cohort's population.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from histo_ray.cohort.folds import draw_folds
from histo_ray.learn.calibration import (
    Calibration,
    CalibrationMethod,
    Threshold,
    apply_calibration,
    choose_thresholds,
    fit_calibration,
)
from histo_ray.learn.external.external_metrics import Draws, ExternalClasses, TargetSample
from histo_ray.learn.fit_heads import fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.patient_heads import PatientData
from histo_ray.learn.statistics import (
    Interval,
    area_interval,
    bootstrap_auprc,
    draw_weights,
    percentile_interval,
    place_classes,
    precision_interval,
    score_auprc,
    weigh_precision,
)
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.tiles.tile_range import TileRange, measure_range
from histo_ray.predict.fitting.kept_choice import REPEATS, predict_kept

Floats = npt.NDArray[np.float64]
FOLDS = 5
MANY = 40_000
"""Patients by whom the truth is measured."""
AREA_DESIGNS = ((150, 0.4, 0.0), (150, 0.3, 1.0), (60, 0.2, 1.5), (300, 0.1, 0.0))
"""Patients, share of positives, distance of the classes in standard deviations."""
PRECISION_DESIGNS = (
    *((150, 0.3, 1.2), (150, 0.3, 0.0), (60, 0.2, 1.0), (300, 0.1, 1.5)),
    *((48, 0.67, 3.5), (150, 0.3, 3.5)),
)
"""Likewise; the last two are near 1."""
CHECKED = ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "sensitivity",
           "specificity", "ppv", "npv")  # fmt: skip


@dataclass(frozen=True)
class Population:
    """Patients of one place."""

    prevalence: float = 0.4
    signal: float = 1.2
    """Distance of the classes' means, in standard deviations along one direction."""
    stain: float = 0.0
    """Shift of every feature, in standard deviations of a tile."""
    dim: int = 12
    tiles: int = 25
    between: float = 1.0
    """Standard deviation of patients' means."""
    within: float = 1.5
    """Standard deviation of tiles about their patient's mean."""

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw patients: (count,) labels with both classes, (count, D) mean vectors of tiles."""
        truth = np.zeros(count)
        while not 2 <= truth.sum() <= count - 2:
            truth = (rng.random(count) < self.prevalence).astype(np.float64)
        error = np.hypot(self.between, self.within / np.sqrt(self.tiles))
        vectors = rng.normal(0, error, (count, self.dim)) + self._shift
        vectors[:, 0] += self.signal * truth
        return truth, vectors

    def draw_tiles(self, count: int, rng: np.random.Generator) -> list[Floats]:
        """Draw tiles of some patients, each (tiles, D)."""
        means = rng.normal(0, self.between, (count, 1, self.dim))
        return [*(means + rng.normal(0, self.within, (count, self.tiles, self.dim)) + self._shift)]

    @property
    def _shift(self) -> float:
        return self.stain * float(np.hypot(self.between, self.within))


@dataclass(frozen=True)
class FittedHead:
    """What `fit` keeps of one target."""

    head: LinearFit
    calibration: Calibration
    threshold: Threshold
    tile_range: TileRange

    def sample(self, truth: Floats, vectors: Floats) -> TargetSample:
        """Predict other patients."""
        raw = self.head.predict(vectors)[:, 0]
        calibrated = apply_calibration(self.calibration, raw)
        return TargetSample(truth, raw, calibrated, raw >= self.threshold.value)


def fit_head(population: Population, count: int, rng: np.random.Generator) -> FittedHead:
    """Fit on patients of a population, calibrated on out-of-fold predictions."""
    truth, vectors = population.draw(count, rng)
    data = PatientData(vectors, truth[:, None], ("target",))
    settings = PatientHeadSettings("logistic", (), 3)
    (head,) = fit_patients(data, settings)
    classes = [str(int(one)) for one in truth]
    fold_ids = draw_folds(classes, FOLDS, REPEATS, 0).fold_ids
    matrix = TargetMatrix(truth[:, None], ("target",), fold_ids, None)
    predicted = predict_kept(vectors.astype(np.float32), matrix, "logistic", head, 0)["target"]
    calibration = fit_calibration(CalibrationMethod.PLATT, predicted, truth)
    threshold = choose_thresholds(predicted, truth, 0.9, calibration)[0]
    return FittedHead(head, calibration, threshold, measure_range(population.draw_tiles(30, rng)))


def score_externally(
    fitted: FittedHead,
    population: Population,
    count: int,
    rng: np.random.Generator,
    resamples: int = 200,
) -> Mapping[str, Interval]:
    """Validate on patients of a population."""
    sample = fitted.sample(*population.draw(count, rng))
    return ExternalClasses().score(sample, Draws(resamples, 0))


def measure_truth(
    fitted: FittedHead, population: Population, rng: np.random.Generator
) -> dict[str, float]:
    """Measure what is true of a predictor in a population, by very many patients."""
    sample = fitted.sample(*population.draw(MANY, rng))
    found = ExternalClasses().score(sample, Draws(1, 0))
    return {name: found[name].estimate for name in CHECKED}


def measure_coverage(
    simulations: int,
    fitted_on: Population,
    applied_to: Population,
    patients: tuple[int, int] = (150, 150),
    seed: int = 0,
) -> dict[str, float]:
    """Share of simulations whose interval holds what is true, by metric; and mean bias of AUROC.

    Args:
        simulations: How many; each fits anew.
        fitted_on: First population.
        applied_to: Second one.
        patients: Of both cohorts.
        seed: Of all draws.
    """
    held: dict[str, list[bool]] = {name: [] for name in CHECKED}
    bias, areas = [], []
    for number in range(simulations):
        rng = np.random.default_rng([seed, number])
        fitted = fit_head(fitted_on, patients[0], rng)
        scores = score_externally(fitted, applied_to, patients[1], rng)
        true = measure_truth(fitted, applied_to, rng)
        for name in CHECKED:
            one = scores[name]
            if np.isfinite([one.low, one.high, true[name]]).all():
                held[name].append(one.low <= true[name] <= one.high)
        bias.append(scores["auroc"].estimate - true["auroc"])
        areas.append(true["auroc"])
    return {
        **{f"{name} in its interval": float(np.mean(held[name])) for name in CHECKED},
        "AUROC, mean error": float(np.mean(bias)),
        "AUROC, mean of the true ones": float(np.mean(areas)),
    }


def measure_shift(
    simulations: int, fitted_on: Population, applied_to: Population, seed: int = 0
) -> dict[str, float]:
    """How a cohort of another place shows: in calibration, and in the distance of its tiles."""
    found = []
    for number in range(simulations):
        rng = np.random.default_rng([seed, number, 1])
        fitted = fit_head(fitted_on, 150, rng)
        scores = score_externally(fitted, applied_to, 150, rng)
        intercept, slope = scores["calibration_intercept"], scores["calibration_slope"]
        tiles = np.concatenate(applied_to.draw_tiles(20, rng))
        found.append(
            (
                not intercept.low <= 0 <= intercept.high,
                intercept.estimate,
                not slope.low <= 1 <= slope.high,
                fitted.tile_range.share_outside(tiles),
                scores["auroc"].estimate,
            )
        )
    off, intercepts, tilted, outside, areas = np.array(found, np.float64).T
    return {
        "calibration intercept, interval without 0": float(off.mean()),
        "calibration intercept, mean": float(intercepts.mean()),
        "calibration slope, interval without 1": float(tilted.mean()),
        "tiles outside, mean": float(outside.mean()),
        "tiles outside above 5 %": float((outside > 0.05).mean()),
        "AUROC, mean": float(areas.mean()),
    }


def cover_areas(simulations: int, seed: int = 3) -> dict[str, float]:
    """Share of intervals of an AUROC that hold the true one, of normal scores, by design."""
    rng = np.random.default_rng(seed)
    found = {}
    for count, prevalence, signal in AREA_DESIGNS:
        true, held = float(stats.norm.cdf(signal / np.sqrt(2))), 0
        for _ in range(simulations):
            truth = np.zeros(count)
            while not 2 <= truth.sum() <= count - 2:
                truth = (rng.random(count) < prevalence).astype(np.float64)
            scores = rng.normal(size=count) + signal * truth
            one = area_interval(place_classes(truth, scores[None]))
            held += one.low <= true <= one.high
        found[f"{count} patients, {prevalence:.0%} positive, AUROC {true:.3f}"] = held / simulations
    return found


def cover_precision(simulations: int, seed: int = 1) -> dict[str, list[float]]:
    """Share of intervals of an average precision that hold the true one, of normal scores.

    Returns:
        By design: of the interval that is used, of the percentile bootstrap of all patients, and of
        that within positives and negatives.
    """
    found = {}
    for count, prevalence, signal in PRECISION_DESIGNS:
        rng = np.random.default_rng(seed)
        many = (rng.random(400_000) < prevalence).astype(np.float64)
        seen = rng.normal(size=400_000) + signal * many
        true = float(score_auprc(many[:, None], seen[:, None])[0])
        held, weights = np.zeros(3), draw_weights(count, 300, 0)
        for _ in range(simulations):
            truth = np.zeros(count)
            while not 2 <= truth.sum() <= count - 2:
                truth = (rng.random(count) < prevalence).astype(np.float64)
            scores = rng.normal(size=count) + signal * truth
            estimate = float(score_auprc(truth[:, None], scores[:, None])[0])
            within = bootstrap_auprc(truth[:, None], scores[None, :, None], 300, 0).draws[:, 0]
            intervals = (
                precision_interval(estimate, int(truth.sum())),
                percentile_interval(estimate, weigh_precision(weights, truth > 0, scores)),
                percentile_interval(estimate, within.astype(np.float64)),
            )
            held += [one.low <= true <= one.high for one in intervals]
        name = f"{count} patients, {prevalence:.0%} positive, AUPRC {true:.3f}"
        found[name] = (held / simulations).tolist()
    return found


def compare_equals(simulations: int, seed: int = 0) -> dict[str, float]:
    """Share of P < 0.05 between two that see the same patients under noise of their own."""
    population = Population()
    p: dict[str, list[float]] = {"auroc": [], "auprc": []}
    for number in range(simulations):
        rng = np.random.default_rng([seed, number, 2])
        truth, vectors = population.draw(150, rng)
        encoders = (vectors[:, 0] + rng.normal(size=150) for _ in range(2))
        one, other = (TargetSample(truth, v, np.full(150, np.nan)) for v in encoders)
        for name, found in ExternalClasses().compare(one, other, Draws(200, 0)).items():
            p[name].append(found.p)
    return {f"P < 0.05, {name}": float((np.array(own) < 0.05).mean()) for name, own in p.items()}
