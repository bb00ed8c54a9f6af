"""Calibration, thresholds, label scales and the range of tiles."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from histo_ray.labels.expression_labels import clip_values, rank_normal
from histo_ray.learn.calibration import (
    Calibration,
    CalibrationMethod,
    apply_calibration,
    choose_thresholds,
    fit_calibration,
)
from histo_ray.learn.label_scale import MOST_KNOTS, fit_label_scale
from histo_ray.learn.tiles.tile_range import measure_range

Floats = npt.NDArray[np.float64]


def make_predictions(
    count: int = 4000, slope: float = 0.5, intercept: float = -1.0
) -> tuple[Floats, Floats]:
    """Predictions whose true log-odds are a known line of theirs."""
    rng = np.random.default_rng(2)
    odds = rng.normal(size=count) * 2
    labels = (rng.random(count) < expit(slope * odds + intercept)).astype(np.float64)
    return expit(odds), labels


def test_platt_finds_the_line_of_the_log_odds() -> None:
    predicted, labels = make_predictions()
    found = fit_calibration(CalibrationMethod.PLATT, predicted, labels)
    plain = LogisticRegression(C=1e9, tol=1e-9).fit(logit(predicted)[:, None], labels)
    assert found.slope == pytest.approx(plain.coef_[0, 0], abs=0.01)
    assert found.intercept == pytest.approx(plain.intercept_[0], abs=0.01)
    assert [found.slope, found.intercept] == pytest.approx([0.5, -1], abs=0.15)
    calibrated = apply_calibration(found, predicted)
    assert calibrated.mean() == pytest.approx(labels.mean(), abs=0.005)
    assert found.n_patients == 4000


def test_isotonic_is_that_of_scikit_learn_and_never_falls() -> None:
    predicted, labels = make_predictions(300)
    found = fit_calibration(CalibrationMethod.ISOTONIC, predicted, labels)
    plain = IsotonicRegression(out_of_bounds="clip").fit(predicted, labels)
    grid = np.linspace(-0.1, 1.1, 77)
    np.testing.assert_allclose(apply_calibration(found, grid), plain.predict(grid))
    assert (np.diff(apply_calibration(found, grid)) >= 0).all()


def test_numbers_are_brought_onto_the_line_through_the_labels() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.normal(size=500)
    labels = 3 * predicted + 2 + rng.normal(size=500)
    found = fit_calibration(CalibrationMethod.LINEAR, predicted, labels)
    slope, intercept = np.polyfit(predicted, labels, 1)
    assert [found.slope, found.intercept] == pytest.approx([slope, intercept])


@pytest.mark.parametrize("method", ["platt", "isotonic", "linear"])
def test_predictions_that_run_against_the_labels_are_never_reversed(method: str) -> None:
    predicted, labels = make_predictions(300)
    found = fit_calibration(CalibrationMethod(method), 1 - predicted, labels)
    calibrated = apply_calibration(found, np.array([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(calibrated, labels.mean(), atol=0.02)


def test_patients_without_a_prediction_or_label_bear_on_nothing() -> None:
    predicted, labels = make_predictions(200)
    holes = np.append(predicted, [np.nan, 0.9]), np.append(labels, [1.0, np.nan])
    for method in CalibrationMethod:
        assert fit_calibration(method, *holes) == fit_calibration(method, predicted, labels)
    assert choose_thresholds(*holes, 0.9, Calibration()) == choose_thresholds(
        predicted, labels, 0.9, Calibration()
    )


def test_nan_stays_nan_and_a_calibration_survives_json() -> None:
    predicted, labels = make_predictions(200)
    for method in CalibrationMethod:
        found = fit_calibration(method, predicted, labels)
        values = np.array([[0.2, np.nan], [0.7, 0.9]])
        once = apply_calibration(found, values)
        assert np.isnan(once).tolist() == np.isnan(values).tolist()
        again = apply_calibration(Calibration.model_validate_json(found.model_dump_json()), values)
        np.testing.assert_array_equal(once, again)
    none = fit_calibration(CalibrationMethod.NONE, predicted, labels)
    np.testing.assert_array_equal(apply_calibration(none, predicted), predicted)


def test_thresholds_are_those_of_the_roc_curve() -> None:
    predicted, labels = make_predictions(300)
    calibration = fit_calibration(CalibrationMethod.PLATT, predicted, labels)
    youden, sensitive = choose_thresholds(predicted, labels, 0.9, calibration)
    false, true, _ = roc_curve(labels, predicted, drop_intermediate=False)
    assert youden.sensitivity + youden.specificity - 1 == pytest.approx((true - false).max())
    assert sensitive.rule == "sensitivity 0.9"
    assert sensitive.sensitivity >= 0.9
    assert sensitive.specificity == pytest.approx(1 - false[true >= 0.9].min())
    for chosen in (youden, sensitive):
        called = predicted >= chosen.value
        assert called[labels > 0].mean() == pytest.approx(chosen.sensitivity)
        assert (~called)[labels == 0].mean() == pytest.approx(chosen.specificity)
        assert np.abs(predicted - chosen.value).min() > 0
        back = apply_calibration(calibration, np.array(chosen.value))
        assert chosen.calibrated == pytest.approx(float(back))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_of_the_same_predictions_has_a_higher_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fold = np.arange(60) % 5
    scale = rng.uniform(0.05, 1, 5)[fold]  # folds whose heads shrink their predictions unlike
    labels = (rng.random(60) < 0.4).astype(np.float64)
    predicted = np.round(0.5 + scale * (rng.normal(size=60) + 0.6 * labels) / 9, 2)  # with ties
    (youden, _) = choose_thresholds(predicted, labels, 0.9, Calibration())
    every = [
        (predicted[labels > 0] >= cut).mean() + (predicted[labels == 0] < cut).mean() - 1
        for cut in np.arange(-0.005, 1.5, 0.01)
    ]
    assert youden.sensitivity + youden.specificity - 1 == pytest.approx(max(every))
    called = predicted >= youden.value
    assert called[labels > 0].mean() == pytest.approx(youden.sensitivity)
    assert (~called)[labels == 0].mean() == pytest.approx(youden.specificity)


def test_labels_of_one_class_have_no_threshold() -> None:
    assert choose_thresholds(np.linspace(0, 1, 5), np.ones(5), 0.9, Calibration()) == ()


def test_a_perfect_predictor_is_told_apart_by_one_threshold() -> None:
    found = choose_thresholds(
        np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 0, 1, 1]), 1.0, Calibration()
    )
    assert len(found) == 2
    for one in found:
        assert [one.value, one.sensitivity, one.specificity] == pytest.approx([0.4, 1, 1])


def make_labels(patients: int) -> Floats:
    rng = np.random.default_rng(3)
    raw = np.exp(rng.normal(size=(patients, 3)))
    raw[:5, 0] = np.nan
    raw[10:20, 1] = 0.0  # ties
    return raw


def test_a_rank_normal_scale_gives_training_labels_what_they_were() -> None:
    raw = make_labels(150)
    scaled = rank_normal(raw)
    scale = fit_label_scale("rank", raw, scaled)
    np.testing.assert_allclose(scale.to_scale(raw), scaled)
    np.testing.assert_allclose(scale.to_raw(scaled), raw)
    beyond = scale.to_scale(np.array([[-9.0, -9, -9], [99, 99, 99]]))
    np.testing.assert_allclose(beyond, [np.nanmin(scaled, 0), np.nanmax(scaled, 0)])
    middle = scale.to_scale(np.nanmedian(raw, 0)[None])
    assert np.abs(middle).max() < 0.02


def test_of_many_patients_some_knots_are_kept() -> None:
    raw = make_labels(3000)
    scaled = rank_normal(raw)
    scale = fit_label_scale("rank", raw, scaled)
    assert scale.raw.shape == (3, MOST_KNOTS)
    np.testing.assert_allclose(norm.cdf(scale.to_scale(raw)), norm.cdf(scaled), atol=0.003)
    np.testing.assert_array_equal(np.nanmax(scale.raw, 1), np.nanmax(raw, 0))


@pytest.mark.parametrize("transform", ["none", "", "log2", "clip"])
def test_other_transforms_are_kept_too(transform: str) -> None:
    raw = make_labels(90)
    scaled = {"log2": np.log2(raw + 1), "clip": clip_values(raw, "1.5")}.get(transform, raw)
    scale = fit_label_scale(transform, raw, scaled)
    np.testing.assert_allclose(scale.to_scale(raw), scaled)
    np.testing.assert_allclose(scale.to_raw(scale.to_scale(raw)), scaled if transform == "clip"
                               else raw)  # fmt: skip
    assert np.isnan(scale.to_scale(np.array([[-2.0, 0, 0]]))[0, 0]) == (transform == "log2")


def test_one_tile_in_a_hundred_lies_outside_and_shifted_tiles_do() -> None:
    rng = np.random.default_rng(5)
    sds = np.array([0.1, 1, 30, 0, 2])
    bags = [rng.normal(size=(200 + 10 * at, 5)) * sds + 7 for at in range(9)]
    found = measure_range(bags)
    every = np.concatenate(bags)
    np.testing.assert_allclose(found.mean, every.mean(0))
    np.testing.assert_allclose(found.scale[[0, 1, 2, 4]], 1 / every.std(0)[[0, 1, 2, 4]])
    assert found.scale[3] == 0
    assert found.share_outside(every) == pytest.approx(0.01, abs=0.002)
    plain = np.sqrt((((every - every.mean(0)) / every.std(0).clip(1e-9))[:, [0, 1, 2, 4]] ** 2)
                    .mean(1))  # fmt: skip
    np.testing.assert_allclose(found.distances(every), plain)
    assert found.share_outside(every + 3 * sds) > 0.9
