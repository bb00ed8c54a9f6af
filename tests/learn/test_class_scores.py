"""Scores of several classes against scikit-learn, and codings there and back."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from histo_ray.learn.external.external_classes import resample_kappa, score_column
from histo_ray.learn.external.external_metrics import Draws
from histo_ray.learn.statistics.class_scores import (
    bootstrap_macro_auroc,
    choose_classes,
    score_kappa,
    score_macro_auroc,
)
from histo_ray.learn.targets.class_codings import CODINGS, OutputLayout
from histo_ray.learn.targets.class_tables import tabulate_classes, tabulate_confusion
from histo_ray.learn.targets.kind_support import COUNT_UNITS
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind

NAN = float("nan")
NAMES = ("low", "mid", "high")


def made(kind: TargetKind, signal: float = 1.5) -> tuple[TargetTruth, np.ndarray]:
    """47 patients, two columns, 3 repeats of 4 folds, and (R, P, C) probabilities."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (47, 2)).astype(float)
    labels[5, 0] = NAN
    fold_ids = np.stack([[rng.permutation(47) % 4 for _ in range(3)] for _ in range(2)])
    fold_ids = np.where(np.isnan(labels.T)[:, None], -1, fold_ids)
    odds = rng.normal(size=(3, 47, 2, 3)) + signal * (labels[..., None] == np.arange(3))
    odds[:, 5, 0] = NAN
    probabilities = np.exp(odds) / np.exp(odds).sum(-1, keepdims=True)
    truth = TargetTruth("label", ("a", "b"), labels, fold_ids, kind=kind, classes=(NAMES,) * 2)
    return truth, probabilities.reshape(3, 47, 6)


@pytest.mark.parametrize("kind", CODINGS)
def test_classes_come_back_from_their_outputs(kind: TargetKind) -> None:
    layout = OutputLayout(kind, ("a", "b"), (("x", "y"), ("u", "v", "w", "z")))
    labels = np.array([[0, 3], [1, 0], [NAN, 2], [1, 1]])
    outputs = layout.encode(labels)
    assert len(layout.outputs) == outputs.shape[1] == len(layout.owners)
    decoded = layout.decode(outputs)
    assert decoded.shape == (4, 6)
    for target, part in enumerate(layout.class_slices):
        own = decoded[:, part]
        there = ~np.isnan(labels[:, target])
        assert (own[there].argmax(1) == labels[there, target]).all()
        np.testing.assert_allclose(own[there].sum(1), 1)
        assert np.isnan(own[~there]).all()
    coding = CODINGS[kind]
    called = coding.call(coding.settle(outputs[:, layout.output_slices[1]]))
    np.testing.assert_array_equal(called, outputs[:, layout.output_slices[1]])


def test_thresholds_out_of_order_are_put_in_order() -> None:
    coding = CODINGS[TargetKind.ORDINAL]
    decoded = coding.decode(np.array([[0.3, 0.7, 0.1]]))
    np.testing.assert_allclose(decoded, [[0.3, 0.4, 0.2, 0.1]])
    expected = (decoded @ np.arange(4)).item()
    assert expected == pytest.approx(0.3 + 0.7 + 0.1)  # which ordering does not change
    shares = CODINGS[TargetKind.MULTICLASS].decode(np.array([[0.2, 0.6, 0.4], [0, 0, 0]]))
    np.testing.assert_allclose(shares, [[1 / 6, 1 / 2, 1 / 3], [1 / 3] * 3])


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60).astype(float)
    odds = rng.normal(size=(60, 3)) + (labels[:, None] == np.arange(3))
    probabilities = np.exp(odds) / np.exp(odds).sum(1, keepdims=True)
    known = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert score_macro_auroc(labels, probabilities) == pytest.approx(known)
    chosen = choose_classes(probabilities, ordered=False)
    np.testing.assert_array_equal(chosen, probabilities.argmax(1))
    median = choose_classes(np.array([[0.4, 0.3, 0.3], [0.6, 0.1, 0.3]]), ordered=True)
    assert median.tolist() == [1, 0]
    kappa = cohen_kappa_score(labels, chosen, weights="quadratic")
    assert score_kappa(labels, chosen) == pytest.approx(kappa)
    found = score_column(labels, probabilities, Draws(200, 0), ordered=True)
    assert found["kappa"].low < found["kappa"].estimate < found["kappa"].high
    balanced = balanced_accuracy_score(labels, choose_classes(probabilities, ordered=True))
    assert found["balanced_accuracy"].estimate == pytest.approx(balanced)
    plain = score_column(labels, probabilities, Draws(200, 0), ordered=False)
    assert plain["macro_auroc"].estimate == pytest.approx(known)
    assert plain["macro_auroc"].low < known < plain["macro_auroc"].high
    assert score_column(np.zeros(9), np.ones((9, 2)) / 2, Draws(9), ordered=False) == {}


def test_kappa_of_all_patients_once_is_kappa() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, 50).astype(float)
    chosen = np.minimum(truth + rng.integers(0, 2, 50), 3)  # higher on average
    (once,) = resample_kappa(np.ones((1, 50), np.float32), truth, chosen)
    assert once == pytest.approx(score_kappa(truth, chosen), abs=1e-6)


def test_folds_that_all_targets_share_are_those_of_each() -> None:
    truth, predicted = made(TargetKind.MULTICLASS)
    labels = np.nan_to_num(truth.values)
    shared = truth.fold_ids[1]
    both = [
        TargetTruth("label", ("a", "b"), labels, ids, kind=truth.kind, classes=truth.classes)
        for ids in (shared, np.stack([shared, shared]))
    ]
    one, other = (METRICS[truth.kind].score(t, np.nan_to_num(predicted)) for t in both)
    np.testing.assert_array_equal(one, other)


def test_folds_are_scored_target_by_target() -> None:
    truth, predicted = made(TargetKind.MULTICLASS)
    found = METRICS[TargetKind.MULTICLASS].score(truth, predicted)
    assert found.shape == (3, 4, 2)
    rows = (truth.fold_ids[1, 2] == 3) & ~np.isnan(truth.values[:, 1])
    one = roc_auc_score(
        truth.values[rows, 1], predicted[2, rows, 3:], multi_class="ovr", average="macro"
    )
    assert found[2, 3, 1] == pytest.approx(one)
    ordinal, _ = made(TargetKind.ORDINAL)
    ranks = METRICS[TargetKind.ORDINAL].score(ordinal, predicted)
    expected = predicted[2, rows, 3:] @ np.arange(3)
    known = stats.spearmanr(truth.values[rows, 1], expected).statistic
    assert ranks[2, 3, 1] == pytest.approx(known)


@pytest.mark.parametrize("kind", CODINGS)
def test_a_score_has_draws_about_it_and_an_interval_that_holds_it(kind: TargetKind) -> None:
    truth, predicted = made(kind)
    found = score_encoder(truth, predicted, 200, 0)
    assert found.resampled.draws.shape == (200, 2)
    assert found.together.shape[1] == 2
    assert (found.interval.low < found.resampled.score).all()
    assert (found.interval.high > found.resampled.score).all()
    assert (found.p_chance < 0.01).all()
    assert (found.p_paper < 0.01).all()
    np.testing.assert_allclose(found.resampled.draws.mean(0), found.resampled.score, atol=0.02)
    guess = score_encoder(*made(kind, signal=0.0), 200, 0)
    assert (guess.p_chance > 0.01).all()
    scores = found.others
    assert ("kappa" in scores) == (kind is TargetKind.ORDINAL)
    assert (scores["balanced_accuracy"] > 0.4).all()


def test_resamples_keep_the_classes_sizes_and_repeat_with_their_seed() -> None:
    truth, predicted = made(TargetKind.MULTICLASS)
    args = truth.values[:, 0], predicted[:, :, :3], truth.fold_ids[0]
    one, same, other = (bootstrap_macro_auroc(*args, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_units_are_those_of_the_rarest_class() -> None:
    labels = np.array([0] * 20 + [1] * 6 + [2] * 9 + [NAN])[:, None]
    fold_ids = np.arange(36)[None] % 4
    count = COUNT_UNITS[TargetKind.MULTICLASS]
    assert count(labels, fold_ids, None, False).units.tolist() == [6]
    groups = [str(number % 5) for number in range(36)]
    assert count(labels, fold_ids, groups, True).units.tolist() == [5]
    assert COUNT_UNITS[TargetKind.ORDINAL](labels, fold_ids, None, False).units.tolist() == [35]


def test_tables_of_classes_count_their_patients() -> None:
    truth, predicted = made(TargetKind.MULTICLASS)
    classes = tabulate_classes(truth, {"e": predicted}, 100, 0).to_pandas()
    assert classes["class"].tolist() == [*NAMES, *NAMES]
    assert classes["n_patients"].sum() == 46 + 47
    assert (classes["low"] < classes["auroc"]).all()
    confusion = tabulate_confusion(truth, {"e": predicted}).to_pandas()
    of_class = confusion.groupby(["target", "class"])["n_patients"].sum()
    wanted = classes.set_index(["target", "class"])["n_patients"]
    np.testing.assert_allclose(of_class.loc[wanted.index], wanted)
    numbers = TargetTruth(
        "label", ("a",), truth.values[:, :1], truth.fold_ids[:1], kind=TargetKind.CONTINUOUS
    )
    assert not len(tabulate_classes(numbers, {"e": predicted[..., :1]}, 100, 0))
