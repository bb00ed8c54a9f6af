"""Traps that flatter a model, each set on purpose."""

import numpy as np
import pytest

from histo_ray.cohort.patient_folds import OutcomeFolds, draw_shared_folds, draw_target_folds
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.patient_heads import (
    PatientData,
    predict_patient_repeat,
)
from histo_ray.learn.statistics import score_auroc

COUNT, DIM = 120, 12
PATIENTS = [f"P{number:03d}" for number in range(COUNT)]
LOGISTIC = PatientHeadSettings("logistic", (0.1, 1.0, 10.0), inner_folds=3)
RIDGE = PatientHeadSettings("ridge")


def judge_all(
    features: np.ndarray, labels: np.ndarray, folds: OutcomeFolds, groups: list[str] | None = None
) -> float:
    """Mean AUROC over repeats of one mutation."""
    data = PatientData(features, labels[:, None], ("TP53",), groups)
    own = folds.fold_ids[0] if folds.fold_ids.ndim == 3 else folds.fold_ids
    scores = [
        score_auroc(labels[:, None], predict_patient_repeat(data, part, LOGISTIC, (0, r)).predicted)
        for r, part in enumerate(own)
    ]
    return float(np.mean(scores))


def test_sites_that_foretell_the_label_help_only_while_they_are_split() -> None:
    split, kept = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        sites = np.arange(COUNT) % 20
        rate = np.where(np.arange(20) % 2 == 0, 0.85, 0.15)
        labels = (rng.random(COUNT) < rate[sites]).astype(float)
        look = rng.normal(size=(20, DIM)) * 2  # every site stains in its own way, labels aside
        features = look[sites] + 0.5 * rng.normal(size=(COUNT, DIM))
        names = [f"S{site:02d}" for site in sites]
        drawn = draw_target_folds(labels[:, None], ["TP53"], 4, 2, seed, PATIENTS)
        split.append(judge_all(features, labels, drawn))
        drawn = draw_target_folds(labels[:, None], ["TP53"], 4, 2, seed, names)
        kept.append(judge_all(features, labels, drawn, names))
    assert np.mean(split) > 0.65
    assert abs(np.mean(kept) - 0.5) < 0.08


def test_features_that_encode_the_fold_are_harmless() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(COUNT) < 0.4).astype(float)
    folds = draw_target_folds(labels[:, None], ["TP53"], 5, 4, 0, PATIENTS)
    told = [
        np.concatenate([np.eye(5)[part] * 9, rng.normal(size=(COUNT, 3))], axis=1)
        for part in folds.fold_ids[0]
    ]
    found = []
    for r, features in enumerate(told):
        data = PatientData(features, labels[:, None], ("TP53",))
        answer = predict_patient_repeat(data, folds.fold_ids[0, r], LOGISTIC, (0, r))
        inside = [
            score_auroc(labels[rows, None], answer.predicted[rows])
            for rows in (folds.fold_ids[0, r] == fold for fold in range(5))
        ]
        found.append(np.mean(inside))
    assert abs(np.mean(found) - 0.5) < 0.1


@pytest.mark.parametrize("settings", [RIDGE, LOGISTIC], ids=["ridge", "logistic"])
def test_labels_of_judged_patients_bear_on_nothing_that_judges_them(
    settings: PatientHeadSettings,
) -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(COUNT, DIM))
    labels = (features[:, :2] + rng.normal(size=(COUNT, 2)) > 0.2).astype(float)
    folds = draw_shared_folds(rng.normal(size=(COUNT, 3)), 4, 1, 0, PATIENTS)
    (part,) = folds.fold_ids
    clean = predict_patient_repeat(PatientData(features, labels, ("A", "B")), part, settings)
    for fold in range(4):
        poisoned = labels.copy()
        poisoned[part == fold] = 1 - poisoned[part == fold]
        found = predict_patient_repeat(PatientData(features, poisoned, ("A", "B")), part, settings)
        np.testing.assert_array_equal(found.choice[fold], clean.choice[fold])
        np.testing.assert_array_equal(found.inner_score[fold], clean.inner_score[fold])
        np.testing.assert_array_equal(found.predicted[part == fold], clean.predicted[part == fold])
        others = [other for other in range(4) if other != fold]
        assert (found.inner_score[others] != clean.inner_score[others]).any()


def test_further_samples_of_a_person_stay_in_his_fold() -> None:
    rng = np.random.default_rng(2)
    persons = [f"P{number // 2:03d}" for number in range(COUNT)]
    labels = (rng.random(COUNT // 2) < 0.5).astype(float).repeat(2)
    features = rng.normal(size=(COUNT // 2, 90)).repeat(2, axis=0)  # both samples look the same
    apart = draw_target_folds(labels[:, None], ["TP53"], 5, 2, 0, PATIENTS)
    joined = draw_target_folds(labels[:, None], ["TP53"], 5, 2, 0, persons)
    assert judge_all(features, labels, apart) > 0.8  # what the trap would give
    assert judge_all(features, labels, joined, persons) < 0.65
