"""Heads that are kept: standardisation, range, groups of targets, contributions of tiles."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.errors import ConfigError
from histo_ray.learn.fit_heads import choose_configurations, fit_patient_fold, fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings, measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.patient_heads import PatientData, predict_patient_fold
from histo_ray.learn.targets.configurations import Configuration
from tests.learn.patient_data import make_data, make_features, make_labels, make_values


def make_some(binary: bool, dim: int = 9, groups: bool = False) -> PatientData:
    features = make_features(57, dim)
    values = (make_labels if binary else make_values)(features, 4)
    values[3:9, 1] = np.nan
    values[40, [0, 2]] = np.nan
    names = [f"site {at % 7}" for at in range(57)] if groups else None
    return make_data(features, values, names)


@pytest.mark.parametrize(("head", "binary"), [("ridge", False), ("pls", False), ("logistic", True)])
@pytest.mark.parametrize("dim", [9, 80])
def test_heads_of_a_fold_predict_what_the_evaluation_predicts(
    head: str, binary: bool, dim: int
) -> None:
    data = make_some(binary, dim, groups=True)
    fold_ids = np.arange(57) % 5
    fold_ids[50] = -1
    settings = PatientHeadSettings(head, inner_folds=3)
    expected = predict_patient_fold(data, fold_ids, 2, settings, (7, 1))
    fits = fit_patient_fold(data, fold_ids, 2, settings, (7, 1))
    assert sorted(name for fit in fits for name in fit.targets) == ["G0", "G1", "G2", "G3"]
    for fit in fits:
        columns = [data.names.index(name) for name in fit.targets]
        found = fit.predict(data.features[fold_ids == 2])
        there = ~np.isnan(expected.predicted[:, columns])
        np.testing.assert_allclose(
            found[there], expected.predicted[:, columns][there], atol=1e-6, rtol=0
        )
        np.testing.assert_array_equal(fit.choice, expected.choice[columns])


def test_all_patients_are_trained_on_and_the_same_bits_come_twice() -> None:
    data = make_some(binary=False)
    one, two = (fit_patients(data, PatientHeadSettings("ridge"), 3) for _ in range(2))
    assert [fit.targets for fit in one] == [fit.targets for fit in two]
    assert len(one) == 3  # three patterns of missing labels
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.weights, second.weights)
    by_name = {name: fit for fit in one for name in fit.targets}
    kept = np.delete(data.features, np.arange(3, 9), axis=0)
    np.testing.assert_array_equal(by_name["G1"].scale.low, kept.astype(np.float64).min(0))


def test_ridge_on_all_patients_is_that_of_scikit_learn() -> None:
    features = make_features(57, 80)[:, :-1]  # without the constant one
    data = make_data(features, make_values(features, 3))
    (fit,) = fit_patients(data, PatientHeadSettings("ridge"))
    wide = data.features.astype(np.float64)
    plain = make_pipeline(
        StandardScaler(), RidgeCV(np.logspace(4, -2, 10) * 79, alpha_per_target=True)
    ).fit(wide, data.targets)
    np.testing.assert_allclose(fit.predict(wide), plain.predict(wide), atol=1e-6)


def test_logistic_regression_on_all_patients_is_that_of_scikit_learn() -> None:
    features = make_features(57, 80)[:, :-1]
    data = make_data(features, make_labels(features, 2))
    (fit,) = fit_patients(data, PatientHeadSettings("logistic"))
    wide = data.features.astype(np.float64)
    for column in range(2):
        plain = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=1 / (fit.choice[column] * 79), tol=1e-10, max_iter=10_000),
        ).fit(wide, data.targets[:, column])
        np.testing.assert_allclose(
            fit.predict(wide)[:, column], plain.predict_proba(wide)[:, 1], atol=1e-5
        )


def test_vectors_beyond_the_range_of_training_are_held_within_it() -> None:
    data = make_some(binary=False)
    fit = fit_patients(data, PatientHeadSettings("ridge"))[0]
    far = fit.scale.high[None].copy()
    far[0, 1] += 1e9
    np.testing.assert_array_equal(fit.predict(far), fit.predict(fit.scale.high[None]))
    assert fit.scale.share_outside(far).tolist() == [1 / 9]


@pytest.mark.parametrize("beyond", [0.0, 3.0])
def test_the_mean_of_tile_contributions_is_the_score_of_the_patient(beyond: float) -> None:
    data = make_some(binary=True)
    fit = fit_patients(data, PatientHeadSettings("logistic"))[0]
    rng = np.random.default_rng(8)
    spread = data.features.std(0)
    tiles = (data.features[5] + (rng.normal(size=(700, 9)) + beyond) * spread).astype(np.float16)
    pooled = tiles.astype(np.float64).mean(0).astype(np.float32)
    contributions = fit.contribute(tiles, pooled)
    assert contributions.shape == (700, len(fit.targets))
    np.testing.assert_allclose(contributions.mean(0), fit.decide(pooled[None])[0], atol=1e-5)
    if beyond:
        assert fit.scale.share_outside(pooled[None])[0] > 0.5
    part = fit.contribute(tiles[100:150], pooled)
    np.testing.assert_allclose(part, contributions[100:150])


def test_some_targets_can_be_taken_and_others_widths_are_refused() -> None:
    features = make_features(57, 9)
    data = make_data(features, make_values(features, 4))
    (fit,) = fit_patients(data, PatientHeadSettings("ridge"))
    some = fit.take([1, 0])
    assert some.targets == (fit.targets[1], fit.targets[0])
    x = make_features(5, 9)
    np.testing.assert_array_equal(some.predict(x), fit.predict(x)[:, [1, 0]])
    with pytest.raises(ConfigError, match=r"shape \(5, 8\), must be \(rows, 9\)"):
        fit.predict(x[:, :8])
    with pytest.raises(ConfigError, match="must fit each other"):
        replace(fit, weights=np.ones((8, 4)))


def test_softmax_gives_probabilities_of_classes() -> None:
    x = make_features(6, 4)
    fit = LinearFit(
        ("A", "B", "C"), measure_scale(x), np.ones((4, 3)) * [1, 2, 3], np.zeros(3), Link.SOFTMAX,
        np.ones(3), np.ones(3),
    )  # fmt: skip
    np.testing.assert_allclose(fit.predict(x).sum(1), 1)


def test_the_configuration_with_the_best_inner_score_is_chosen_target_by_target() -> None:
    three = [Configuration("e", pooling, "ridge") for pooling in ("mean", "std", "max")]
    scores = np.array([[0.1, np.nan, 0.5], [0.3, np.nan, 0.5], [np.nan, np.nan, 0.2]])
    assert choose_configurations(three, scores).tolist() == [1, 0, 0]
