"""Harmonisation is fitted on training parts, looks at no label, and does what its sources say."""

import numpy as np
import pytest

from histo_ray.learn.covariates import impute_covariates
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.harmonise import (
    FEWEST,
    Harmonise,
    harmonise_parts,
    measure_combat,
    measure_reference,
)
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold, take_features

COUNT, DIM = 90, 13
SITES = np.array([f"S{number % 4}" for number in range(COUNT - 3)] + ["rare", "rare", ""])
METHODS = [Harmonise.CENTER, Harmonise.COMBAT]


def make_sites(seed: int = 0) -> np.ndarray:
    """Features with offsets and spreads of each site."""
    rng = np.random.default_rng(seed)
    number = np.unique(SITES, return_inverse=True)[1]
    offset = rng.normal(size=(6, DIM)) * 3
    spread = 0.5 + rng.random((6, DIM)) * 2
    scale = np.logspace(-1, 1, DIM)
    found: np.ndarray = (offset[number] + spread[number] * rng.normal(size=(COUNT, DIM))) * scale
    return found


def _spread(features: np.ndarray) -> np.ndarray:
    """Widest over narrowest site, (D,)."""
    sds = [features[f"S{number}" == SITES].std(0) for number in range(4)]
    return np.asarray(np.max(sds, 0) / np.min(sds, 0))


@pytest.mark.parametrize("method", METHODS)
def test_sites_are_alike_in_the_training_part(method: Harmonise) -> None:
    features = make_sites()
    train, _ = harmonise_parts(features, features[:0], SITES, SITES[:0], method)
    sd = features.std(0)
    for site in ("S0", "S1", "S2", "S3"):
        gap = np.abs(train[site == SITES].mean(0) - features.mean(0)) / sd
        before = np.abs(features[site == SITES].mean(0) - features.mean(0)) / sd
        assert gap.max() < (1e-9 if method is Harmonise.CENTER else 0.15)
        assert before.max() > 0.5
    if method is Harmonise.COMBAT:
        assert np.median(_spread(train)) < 0.6 * np.median(_spread(features))
    few = np.isin(SITES, ["rare", ""])
    np.testing.assert_array_equal(train[few], features[few])


@pytest.mark.parametrize("method", METHODS)
def test_nothing_of_the_test_part_bears_on_the_training_part(method: Harmonise) -> None:
    features, fold_ids = make_sites(), np.arange(COUNT) // 15 % 3
    rows, tested = np.flatnonzero(fold_ids != 0), np.flatnonzero(fold_ids == 0)
    labels = np.random.default_rng(1).normal(size=(COUNT, 2))
    data = PatientData(features, labels, ("A", "B"), sites=SITES.tolist())
    clean, _ = take_features(data, rows, tested, method)
    other = features.copy()
    other[tested] = np.random.default_rng(2).normal(size=(len(tested), DIM)) * 50
    poisoned = PatientData(other, labels, ("A", "B"), sites=SITES.tolist())
    np.testing.assert_array_equal(take_features(poisoned, rows, tested, method)[0], clean)
    settings = PatientHeadSettings("ridge", harmonise=method)
    one = predict_patient_fold(data, fold_ids, 0, settings)
    two = predict_patient_fold(poisoned, fold_ids, 0, settings)
    np.testing.assert_array_equal(one.choice, two.choice)
    np.testing.assert_array_equal(one.inner_score, two.inner_score)
    wrong = labels.copy()
    wrong[tested] = 1000.0
    told = PatientData(features, wrong, ("A", "B"), sites=SITES.tolist())
    three = predict_patient_fold(told, fold_ids, 0, settings)
    np.testing.assert_array_equal(three.predicted, one.predicted)
    np.testing.assert_array_equal(three.choice, one.choice)


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_the_training_part_do_not_move_features(method: Harmonise) -> None:
    features = make_sites()
    rows, tested = np.arange(60), np.arange(60, COUNT)
    parts = [
        take_features(PatientData(features, y, ("A",), sites=SITES.tolist()), rows, tested, method)
        for y in (np.zeros((COUNT, 1)), np.arange(COUNT, dtype=float)[:, None])
    ]
    for one, other in zip(*parts, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", METHODS)
def test_a_site_that_is_held_out_is_measured_by_its_own_patients(method: Harmonise) -> None:
    features = make_sites()
    held = SITES == "S2"
    train, test = features[~held], features[held]
    _, moved = harmonise_parts(train, test, SITES[~held], SITES[held], method)
    gap = np.abs(moved.mean(0) - train.mean(0)) / train.std(0)
    assert gap.max() < (1e-9 if method is Harmonise.CENTER else 0.2)
    _, seen = harmonise_parts(train, test, SITES[~held], np.repeat("S1", held.sum()), method)
    assert np.abs(seen - moved).max() > 0.1  # a known site is moved as in the training part
    few = slice(0, FEWEST - 1)
    _, alone = harmonise_parts(train, test[few], SITES[~held], SITES[held][few], method)
    np.testing.assert_array_equal(alone, test[few])


def test_combat_is_that_of_its_paper_step_by_step() -> None:
    features = make_sites()
    own = features[SITES == "S1"]
    reference = measure_reference(features, SITES)
    found = measure_combat(own, reference)
    z = (own - reference.mean) / reference.sd
    n, hat, square = len(z), z.mean(0), z.var(0, ddof=1)
    bar, tau = hat.mean(), hat.var(ddof=1)
    mean, var = square.mean(), square.var(ddof=1)
    a, b = (2 * var + mean**2) / var, (mean * var + mean**3) / var  # as ComBat's aprior, bprior
    for g in range(DIM):
        gamma, delta = hat[g], square[g]
        for _ in range(500):
            gamma = (n * tau * hat[g] + delta * bar) / (n * tau + delta)
            delta = (b + 0.5 * ((z[:, g] - gamma) ** 2).sum()) / (n / 2 + a - 1)
        np.testing.assert_allclose(found.offset[g], gamma, atol=1e-3)
        np.testing.assert_allclose(found.spread[g] ** 2, delta, rtol=1e-3)


def test_none_returns_the_very_arrays() -> None:
    features = make_sites()
    train, test = harmonise_parts(features, features, SITES, SITES, Harmonise.NONE)
    assert train is features
    assert test is features


def test_missing_covariates_take_the_mean_of_the_training_part() -> None:
    train = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 7.0], [5.0, 6.0]])
    test = np.array([[np.nan, 1.0], [2.0, np.nan]])
    one, other = impute_covariates(train, test)
    np.testing.assert_array_equal(one[2], [3, 7, 1, 0])
    np.testing.assert_array_equal(other, [[3, 1, 1, 0], [2, 6, 0, 1]])
    full = impute_covariates(train[:1], test)[1]
    np.testing.assert_array_equal(full, [[1, 1], [2, 5]])  # nothing is missing in training
