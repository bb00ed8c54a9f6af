"""Images beyond covariates: offsets are cross-fitted, and only what images add is theirs."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LinearRegression, LogisticRegression

from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.fold_data import FoldData, PatientHeadSettings
from histo_ray.learn.heads.registry import load_patient_head
from histo_ray.learn.inner_folds import draw_inner_folds
from histo_ray.learn.kernel_logistic import fit_logistic_path
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold
from histo_ray.learn.targets.added_tables import correlate_added
from histo_ray.learn.targets.added_value import cross_fit, take_out_covariates
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

COUNT = 90
FOLD_IDS = np.arange(COUNT) % 3
ADDED = {
    head: PatientHeadSettings(head, covariates=CovariateUse.ADDED, covariate_head=head)
    for head in ("ridge", "logistic")
}


def make_patients(head: str, seed: int = 0) -> PatientData:
    """Images show the first covariate, and one thing more."""
    rng = np.random.default_rng(seed)
    known, images = rng.normal(size=(COUNT, 2)), rng.normal(size=(COUNT, 9))
    labels = 1.5 * known[:, :1] + 1.5 * images[:, 5:6] + 0.5 * rng.normal(size=(COUNT, 2))
    images[:, :4] += 2 * known[:, :1]
    if head == "logistic":
        labels = (labels > 0).astype(float)
    known[3, 1] = np.nan
    return PatientData(images, labels, ("A", "B"), None, None, known)


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_nothing_of_the_test_part_bears_on_what_images_add(head: str) -> None:
    data = make_patients(head)
    tested = FOLD_IDS == 1
    clean = predict_patient_fold(data, FOLD_IDS, 1, ADDED[head])
    wrong = data.targets.copy()
    wrong[tested] = 1 - wrong[tested]
    poisoned = PatientData(data.features, wrong, data.names, None, None, data.covariates)
    found = predict_patient_fold(poisoned, FOLD_IDS, 1, ADDED[head])
    np.testing.assert_array_equal(found.predicted, clean.predicted)
    np.testing.assert_array_equal(found.choice, clean.choice)
    np.testing.assert_array_equal(found.inner_score, clean.inner_score)
    moved = data.features.copy()
    moved[tested] += 7
    assert data.covariates is not None
    others = data.covariates.copy()
    others[tested] = 5.0
    shifted = PatientData(moved, data.targets, data.names, None, None, others)
    again = predict_patient_fold(shifted, FOLD_IDS, 1, ADDED[head])
    np.testing.assert_array_equal(again.choice, clean.choice)
    np.testing.assert_array_equal(again.inner_score, clean.inner_score)


def test_numbers_are_covariates_and_images_together() -> None:
    data = make_patients("ridge")
    predicted = predict_patient_fold(data, FOLD_IDS, 0, ADDED["ridge"]).predicted
    settings = PatientHeadSettings("ridge", covariates=CovariateUse.ALONE, covariate_head="ridge")
    alone = predict_patient_fold(data, FOLD_IDS, 0, settings).predicted
    truth = data.targets[FOLD_IDS == 0]
    errors = [float(((truth - one) ** 2).mean()) for one in (predicted, alone)]
    assert errors[0] < 0.35 * errors[1]


def test_features_without_covariates_are_what_least_squares_leaves() -> None:
    rng = np.random.default_rng(1)
    known, features = rng.normal(size=(50, 3)), rng.normal(size=(50, 7)) + 4
    features[:, 0] += 3 * known[:, 1]
    train, test = take_out_covariates(features[:40], features[40:], known[:40], known[40:])
    plain = LinearRegression().fit(known[:40], features[:40])
    np.testing.assert_allclose(train, features[:40] - known[:40] @ plain.coef_.T)
    np.testing.assert_allclose(test, features[40:] - known[40:] @ plain.coef_.T)


def test_offsets_are_of_heads_that_did_not_see_the_patient() -> None:
    rng = np.random.default_rng(2)
    known = rng.normal(size=(40, 2))
    labels = known[:, :1] + rng.normal(size=(40, 1))
    fold = FoldData(known, labels, known, ("A",), None, 5, (0.01,), 5)
    head = load_patient_head("ridge")
    whole = head.predict(fold)
    found = cross_fit(fold, head, whole)
    for rows, held in draw_inner_folds(40, 5, 5):
        part = FoldData(known[rows], labels[rows], known[held], ("A",), None, 5, (0.01,), 5)
        np.testing.assert_array_equal(found[held], head.predict(part).predicted)
    assert np.abs(found - whole.predicted).max() > 1e-3


def test_a_known_offset_of_log_odds_stays_as_it_is() -> None:
    rng = np.random.default_rng(3)
    features, offset = rng.normal(size=(60, 5)), rng.normal(size=60) * 2
    labels = (rng.random(60) < expit(features[:, 0] + offset)).astype(float)
    (fit,) = fit_logistic_path(features @ features.T, labels, [2.0], offset)
    weights = features.T @ fit.weights
    p = expit(features @ weights + fit.bias + offset)
    np.testing.assert_allclose(features.T @ (labels - p), 2.0 * weights, atol=1e-4)  # at rest
    np.testing.assert_allclose((labels - p).sum(), 0, atol=1e-4)
    (plain,) = fit_logistic_path(features @ features.T, labels, [2.0])
    reference = LogisticRegression(C=0.5, tol=1e-8).fit(features, labels)
    np.testing.assert_allclose(features.T @ plain.weights, reference.coef_[0], atol=1e-3)


def test_the_partial_correlation_is_that_of_each_fold() -> None:
    rng = np.random.default_rng(4)
    values, alone = rng.normal(size=(12, 1)), rng.normal(size=(1, 12, 1))
    both = alone + rng.normal(size=(1, 12, 1))
    folds = np.arange(12)[None] % 2
    truth = TargetTruth("t", ("A",), values, folds, kind=TargetKind.CONTINUOUS)
    found = correlate_added(truth, alone, both)
    for fold in range(2):
        rows = folds[0] == fold
        left, added = (values - alone[0])[rows, 0], (both - alone)[0, rows, 0]
        np.testing.assert_allclose(found[0, fold, 0], np.corrcoef(left, added)[0, 1])
