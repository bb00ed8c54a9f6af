"""Predictions by which a kept head is calibrated: by its own settings, and of its own scale."""

import numpy as np
import pytest

from histo_ray.cohort.folds import draw_folds
from histo_ray.learn.fit_heads import fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import PatientData, predict_patient_repeat
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.predict.fitting.kept_choice import predict_kept
from testing.external_truth import Population, measure_shift


def make_matrix(random: np.random.Generator, repeats: int = 3) -> tuple[TargetMatrix, np.ndarray]:
    """Three numbers, the last of noise and with gaps, of 40 patients with 8 features."""
    features = random.normal(size=(40, 8)).astype(np.float32)
    values = features[:, :3] + random.normal(size=(40, 3)) * [0.1, 1, 100]
    values[::7, 2] = np.nan
    folds = draw_folds(["a", "b"] * 20, 4, repeats, 0).fold_ids
    return TargetMatrix(values, ("clear", "faint", "noise"), folds, None), features


def move(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Mean of all labels less the mean of those that a patient's head was trained on."""
    trained = [np.nanmean(labels[ids != fold]) for fold in ids]
    return np.asarray(np.nanmean(labels) - trained)


@pytest.mark.parametrize("head", ["ridge", "pls", "elastic-net"])
def test_each_target_is_predicted_by_the_choice_that_is_kept(head: str) -> None:
    matrix, features = make_matrix(np.random.default_rng(1))
    data = PatientData(features, matrix.targets, matrix.target_names)
    for fit in fit_patients(data, PatientHeadSettings(head)):
        found = predict_kept(features, matrix, head, fit, 0)
        assert list(found) == sorted(fit.targets, key=list(found).index)
        some = [matrix.target_names.index(name) for name in fit.targets]
        own = PatientData(features, matrix.targets[:, some], fit.targets)
        for name, choice in zip(fit.targets, fit.choice, strict=True):
            settings = PatientHeadSettings(head, (float(choice),))
            at = fit.targets.index(name)
            labels = own.targets[:, at]
            repeats = [
                predict_patient_repeat(own, ids, settings)[0][:, at] + move(labels, ids)
                for ids in matrix.fold_ids
            ]
            expected = np.mean(repeats, axis=0)
            np.testing.assert_allclose(found[name], expected, atol=1e-9)


def test_fewer_repeats_are_averaged_where_there_are_many() -> None:
    matrix, features = make_matrix(np.random.default_rng(2))
    data = PatientData(features, matrix.targets[:, :1], ("clear",))
    (fit,) = fit_patients(data, PatientHeadSettings("ridge"))
    short = TargetMatrix(matrix.targets, matrix.target_names, matrix.fold_ids[:2], None)
    np.testing.assert_array_equal(
        predict_kept(features, matrix, "ridge", fit, 0, repeats=2)["clear"],
        predict_kept(features, short, "ridge", fit, 0)["clear"],
    )


@pytest.mark.parametrize(("head", "binary"), [("logistic", True), ("ridge", False)])
def test_a_strong_penalty_leaves_the_order_of_patients_and_not_that_of_folds(
    head: str, binary: bool
) -> None:
    """Folds that test more positives train on fewer, and so predict lower."""
    random = np.random.default_rng(4)
    labels = np.arange(42) % 2 if binary else random.normal(size=42)
    features = (labels[:, None] * 3 + random.normal(size=(42, 6))).astype(np.float32)
    folds = random.permuted(np.arange(42) % 4)[None]
    matrix = TargetMatrix(labels[:, None].astype(float), ("label",), folds, None)
    data = PatientData(features, matrix.targets, ("label",))
    (fit,) = fit_patients(data, PatientHeadSettings(head, (1e3 if binary else 1e6,)))
    kept = predict_kept(features, matrix, head, fit, 0)["label"]
    assert np.corrcoef(kept, labels)[0, 1] > 0.9
    settings = PatientHeadSettings(head, (float(fit.choice[0]),))
    plain = predict_patient_repeat(data, folds[0], settings)[0][:, 0]
    assert np.corrcoef(plain, labels)[0, 1] < 0.5


@pytest.mark.slow
def test_patients_of_the_same_place_find_the_probabilities_right() -> None:
    found = measure_shift(60, Population(), Population())
    assert found["calibration slope, interval without 1"] < 0.3  # by the folds' own penalties: 0.75
