"""Small made-up patients for the tests of heads."""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_data import FoldData, standardise_by
from histo_ray.learn.patient_heads import PatientData

Floats = npt.NDArray[np.float64]


def make_features(patients: int, dim: int, seed: int = 0) -> Floats:
    """Correlated features of very different scales; the last is constant."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(patients, 6))
    features = hidden @ rng.normal(size=(6, dim)) + 0.5 * rng.normal(size=(patients, dim))
    features = features * np.logspace(-2, 2, dim) + rng.normal(size=dim) * 3
    features[:, -1] = 0.1
    return features


def make_values(features: Floats, targets: int, seed: int = 1) -> Floats:
    """Targets from pure noise (first) to almost pure signal (last)."""
    rng = np.random.default_rng(seed)
    scaled = (features - features.mean(0)) / features.std(0).clip(1e-9)
    signal = scaled @ rng.normal(size=(features.shape[1], targets))
    signal *= np.linspace(0, 1, targets) / signal.std(0)
    return np.asarray(signal + 0.3 * rng.normal(size=signal.shape) + 5)


def make_labels(features: Floats, targets: int, seed: int = 1) -> Floats:
    values = make_values(features, targets, seed)
    rng = np.random.default_rng(seed + 1)
    noisy = values + 0.5 * rng.normal(size=values.shape)
    return np.asarray(noisy > np.quantile(noisy, 0.65, axis=0), np.float64)


def make_times(features: Floats, targets: int, seed: int = 1) -> Floats:
    """Signed times that are the earlier the higher the values are; about a third is censored."""
    values = make_values(features, targets, seed)
    rng = np.random.default_rng(seed + 1)
    times = rng.exponential(np.exp(values.mean(0) - values)) + 0.01
    return np.asarray(np.where(rng.random(values.shape) < 0.7, times, -times))


def make_fold(
    features: Floats,
    targets: Floats,
    trained: int,
    choices: tuple[float, ...],
    inner_folds: int = 5,
) -> FoldData:
    """The first rows to train on, the rest to predict."""
    train, judged = standardise_by(features[:trained], features[trained:])
    names = tuple(f"G{column}" for column in range(targets.shape[1]))
    return FoldData(train, targets[:trained], judged, names, None, 7, choices, inner_folds)


def make_data(features: Floats, targets: Floats, groups: list[str] | None = None) -> PatientData:
    names = tuple(f"G{column}" for column in range(targets.shape[1]))
    return PatientData(features.astype(np.float32), targets, names, groups)
