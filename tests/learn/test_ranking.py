import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from histo_ray.learn.statistics import (
    Resampled,
    bootstrap_auprc,
    bootstrap_auroc,
    delong_test,
    place_classes,
    score_auprc,
    score_auroc,
)
from histo_ray.learn.statistics.ranking_bootstrap import _draw_classes

RNG = np.random.default_rng(3)
P, T, R = 61, 5, 4
Bootstrap = Callable[..., Resampled]


def table() -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of four repeats: rare and frequent mutations, ties, holes."""
    truth = (RNG.random((P, T)) < [0.1, 0.3, 0.5, 0.7, 0.2]).astype(float)
    truth[:5] = [[1] * T, [0] * T, [1] * T, [0] * T, [1] * T]
    predicted = 1 / (1 + np.exp(-truth - RNG.normal(size=(R, P, T))))
    predicted[:, :, 1] = np.round(predicted[:, :, 1], 1)
    predicted[:, :, 3] = np.round(predicted[:, :, 3], 1)
    truth[RNG.random((P, T)) < 0.1] = np.nan
    return truth, predicted


def test_areas_are_scikit_learns_target_by_target() -> None:
    truth, predicted = table()
    auroc, auprc = score_auroc(truth, predicted[0]), score_auprc(truth, predicted[0])
    for target in range(T):
        kept = ~np.isnan(truth[:, target])
        pair = truth[kept, target], predicted[0][kept, target]
        assert auroc[target] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
        assert auprc[target] == pytest.approx(average_precision_score(*pair), abs=1e-12)


def test_one_class_has_no_area_and_a_guess_has_half() -> None:
    truth = np.array([[1.0, 0, 1, np.nan], [1, 0, 0, np.nan], [1, 0, np.nan, np.nan]])
    same = np.full((3, 4), 0.3)
    np.testing.assert_array_equal(score_auroc(truth, same), [np.nan, np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(score_auprc(truth, same), [np.nan, np.nan, 0.5, np.nan])


def test_delong_is_the_definition_of_1988() -> None:
    truth, predicted = table()
    labels = truth[:, 1]
    kept = ~np.isnan(labels)
    positive, negative = (np.flatnonzero(kept & (labels == k)) for k in (1, 0))
    curves = predicted[:2, :, 1]
    # psi, V10, V01, S10, S01 in the paper's words
    psi = np.array(
        [
            [[(x[i] > x[j]) + 0.5 * (x[i] == x[j]) for j in negative] for i in positive]
            for x in curves
        ]
    )
    areas = psi.mean((1, 2))
    s10, s01 = np.cov(psi.mean(2)), np.cov(psi.mean(1))
    covariance = s10 / len(positive) + s01 / len(negative)
    contrast = np.array([1, -1])
    z = contrast @ areas / np.sqrt(contrast @ covariance @ contrast)
    one, other = (place_classes(labels, curve[None]) for curve in curves)
    found = delong_test(one, other)
    assert found.difference == pytest.approx(areas[0] - areas[1])
    assert found.error == pytest.approx(np.sqrt(contrast @ covariance @ contrast))
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert found.high - found.low == pytest.approx(2 * stats.norm.ppf(0.975) * found.error)
    alone = delong_test(one)
    assert alone.difference == pytest.approx(areas[0] - 0.5)
    assert alone.error == pytest.approx(np.sqrt(covariance[0, 0]))


def test_delong_over_repeats_is_the_contrast_of_all_curves() -> None:
    truth, predicted = table()
    labels, curves = truth[:, 3], predicted[:, :, 3]
    parts = [place_classes(labels, curve[None]) for curve in curves]
    whole = place_classes(labels, curves)
    np.testing.assert_allclose(whole.positives, np.mean([p.positives for p in parts], axis=0))
    np.testing.assert_allclose(whole.negatives, np.mean([p.negatives for p in parts], axis=0))
    covariance = np.cov([p.positives for p in parts]) / len(whole.positives)
    covariance += np.cov([p.negatives for p in parts]) / len(whole.negatives)
    assert delong_test(whole).error == pytest.approx(np.sqrt(covariance.mean()))


def test_delong_of_the_same_curve_or_of_too_few_patients() -> None:
    truth, predicted = table()
    one = place_classes(truth[:, 2], predicted[:, :, 2])
    same = delong_test(one, one)
    assert (same.difference, same.error, same.p, same.low, same.high) == (0, 0, 1, 0, 0)
    perfect = place_classes(np.array([1.0, 1, 0, 0]), np.array([[0.9, 0.8, 0.1, 0.2]]))
    assert (delong_test(perfect).difference, delong_test(perfect).p) == (0.5, 0.0)
    few = place_classes(np.array([1.0, 0, 0]), np.array([[0.9, 0.1, 0.2]]))
    assert np.isnan(delong_test(few).p)
    with pytest.raises(ValueError, match="0 positives and 3 negatives"):
        place_classes(np.zeros(3), np.ones((1, 3)))


def rows_drawn(
    kept: np.ndarray, positive: np.ndarray, drawn: tuple[np.ndarray, np.ndarray], number: int
) -> np.ndarray:
    """Patients of one resample, each as often as it was drawn."""
    return np.concatenate(
        [
            np.repeat(kept[positive == side], weights[number].astype(int))
            for side, weights in zip((True, False), drawn, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("bootstrap", "score"), [(bootstrap_auroc, score_auroc), (bootstrap_auprc, score_auprc)]
)
def test_a_resample_is_the_score_of_the_patients_drawn(
    bootstrap: Bootstrap, score: Callable[..., np.ndarray]
) -> None:
    truth, predicted = table()
    found = bootstrap(truth, predicted, resamples=25, seed=4)
    np.testing.assert_allclose(
        found.score, np.mean([score(truth, one) for one in predicted], axis=0)
    )
    for target in range(T):
        kept = np.flatnonzero(~np.isnan(truth[:, target]))
        positive = truth[kept, target] > 0
        drawn = _draw_classes(positive, 25, 4)
        for number in range(25):
            rows = rows_drawn(kept, positive, drawn, number)
            assert len(rows) == len(kept)
            plain = [score(truth[rows, target, None], one[rows, target, None]) for one in predicted]
            assert found.draws[number, target] == pytest.approx(np.mean(plain), abs=1e-5)


@pytest.mark.parametrize("own_folds", [False, True])
def test_within_folds_a_resample_is_the_mean_of_their_areas(own_folds: bool) -> None:
    truth, predicted = table()
    rng = np.random.default_rng(2)
    shape = (T, *predicted.shape[:2]) if own_folds else predicted.shape[:2]
    parts = rng.integers(-1, 3, shape)
    found = bootstrap_auroc(truth, predicted, resamples=20, seed=4, fold_ids=parts)

    def score(rows: np.ndarray, target: int) -> float:
        areas = []
        for repeat, own in zip(predicted, parts[target] if own_folds else parts, strict=True):
            for fold in range(3):
                inside = rows[own[rows] == fold]
                areas.append(score_auroc(truth[inside, target, None], repeat[inside, target, None]))
        return float(np.nanmean(areas))

    for target in range(T):
        kept = np.flatnonzero(~np.isnan(truth[:, target]))
        assert found.score[target] == pytest.approx(score(kept, target))
        positive = truth[kept, target] > 0
        drawn = _draw_classes(positive, 20, 4)
        for number in range(20):
            rows = rows_drawn(kept, positive, drawn, number)
            assert found.draws[number, target] == pytest.approx(score(rows, target), abs=1e-5)


def test_the_interval_is_about_as_wide_as_delongs() -> None:
    truth, predicted = table()
    low, high = bootstrap_auroc(truth, predicted, resamples=4000).interval()
    for target in (1, 2, 3):
        delong = delong_test(place_classes(truth[:, target], predicted[:, :, target]))
        assert high[target] - low[target] == pytest.approx(delong.high - delong.low, rel=0.15)


@pytest.mark.parametrize("bootstrap", [bootstrap_auroc, bootstrap_auprc])
def test_a_target_of_one_class_has_no_interval(bootstrap: Bootstrap) -> None:
    truth, predicted = table()
    truth[:, 0] = np.where(np.isnan(truth[:, 0]), np.nan, 0.0)
    low, high = bootstrap(truth, predicted, resamples=20).interval()
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True] + [False] * 4


def test_rare_positives_are_in_every_resample() -> None:
    truth = np.zeros((40, 1))
    truth[:2] = 1
    found = bootstrap_auroc(truth, RNG.random((2, 40, 1)), resamples=300)
    assert np.isfinite(found.draws).all()


def test_pairs_of_encoders_share_their_resamples() -> None:
    truth, predicted = table()
    a, b = (
        bootstrap(truth, predicted, 50, 1) for bootstrap in itertools.repeat(bootstrap_auroc, 2)
    )
    assert np.ptp(a.minus(b).draws) == 0
