from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.learn.mil.fold import MilFold, SharedFolds, predict_mil_fold
from histo_ray.learn.mil.head import MilHead
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.abmil import AttentionNetwork
from histo_ray.learn.mil.training import Report, train_mil
from histo_ray.types import TargetKind
from tests.learn.mil_bags import SMALL, Floats, Notes, make_bags, small_head


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_tiles_that_carry_the_label_are_found_and_attended_to() -> None:
    bags, labels = make_bags(90, shift=6)
    settings = MilSettings(
        members=1, hidden=24, attention=12, dropout=0.25, rate=0.01, epochs=40, batch=10
    )
    head = train_mil(measure_bags(bags[:60]), labels[:60], settings, seed=1)
    assert roc_auc_score(labels[60:, 0], head.predict(bags[60:])[:, 0]) > 0.95
    assert head.inner_score[0] > 0.9
    bag = next(bag for bag, label in zip(bags[60:], labels[60:, 0], strict=True) if label)
    carries = bag[:, 2] > 5.2
    assert 0 < carries.sum() < 0.2 * len(bag)
    assert head.attend(bag)[carries].sum() > 0.8


def test_training_is_the_same_for_a_seed_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, bags = small_head(members=2, seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    same, _ = small_head(members=2, seed=4)
    other, _ = small_head(members=2, seed=5)
    assert one.to_bytes() == same.to_bytes()
    assert one.to_bytes() != other.to_bytes()
    assert not np.array_equal(one.predict(bags.vectors), other.predict(bags.vectors))


def test_it_stops_when_held_out_loss_falls_no_more_and_takes_the_best_epoch() -> None:
    bags, _ = make_bags(30)
    noise = np.random.default_rng(1).permutation(np.arange(30) % 2).astype(np.float64)[:, None]
    note = Notes()
    settings = SMALL.model_copy(update={"epochs": 200, "patience": 3, "rate": 0.02})
    measured = measure_bags(bags)
    head = train_mil(measured, noise, settings, 2, note)
    scores = note.scores
    (best,) = head.epochs
    assert len(scores) == best + 3 < 200
    assert scores[-1] == scores[best - 1] == head.inner_score[0]
    shorter = settings.model_copy(update={"epochs": best})  # the same numbers are drawn
    again = train_mil(measured, noise, shorter, 2)
    np.testing.assert_array_equal(again.predict(bags), head.predict(bags))


def test_a_report_can_end_it() -> None:
    bags, labels = make_bags(30)
    settings = SMALL.model_copy(update={"epochs": 50, "members": 3})
    notes = Notes(most=2)
    head = train_mil(measure_bags(bags), labels, settings, 2, notes)
    assert len(notes.scores) == 2
    assert max(head.epochs) <= 2


def test_labels_of_judged_patients_change_nothing() -> None:
    bags, labels = make_bags(45, shift=3)
    measured = measure_bags(bags)
    parts = np.arange(45) // 3 % 5
    parts[7] = -1
    seen = Notes(), Notes()
    clean = predict_mil_fold(MilFold(measured, labels, parts, 2, SMALL, 9, seen[0]))
    poisoned = labels.copy()
    poisoned[parts == 2] = 1 - poisoned[parts == 2]
    poisoned[7] = 1 - poisoned[7]  # in no fold
    again = predict_mil_fold(MilFold(measured, poisoned, parts, 2, SMALL, 9, seen[1]))
    assert clean.predicted.shape == ((parts == 2).sum(), 1)
    for one, other in zip(clean, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert seen[0].scores == seen[1].scores
    other_fold = predict_mil_fold(MilFold(measured, labels, parts, 3, SMALL, 9))
    assert not np.array_equal(other_fold.predicted, clean.predicted)


def test_each_fold_is_standardised_by_its_training_part_and_draws_its_own_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bags, labels = make_bags(45, shift=3)
    parts = np.arange(45) // 3 % 5
    heads: list[MilHead] = []
    seeds: list[int] = []

    def note(
        bags: Bags,
        labels: Floats,
        settings: MilSettings,
        seed: int,
        report: Report,
        *,
        kind: TargetKind,
        shared: SharedFolds | None,
    ) -> MilHead:
        heads.append(train_mil(bags, labels, settings, seed, report, kind=kind, shared=shared))
        seeds.append(seed)
        return heads[-1]

    monkeypatch.setattr("histo_ray.learn.mil.fold.train_mil", note)
    for fold, seed in ((2, 9), (3, 9), (2, 10)):
        predict_mil_fold(MilFold(measure_bags(bags), labels, parts, fold, SMALL, seed))
        tiles = np.concatenate([bags[k].astype(np.float64) for k in np.flatnonzero(parts != fold)])
        (network,) = heads[-1].networks
        np.testing.assert_allclose(network.mean, tiles.mean(0), rtol=1e-5)
        varies = tiles.std(0) > 1e-9
        np.testing.assert_allclose(network.scale[varies], 1 / tiles.std(0)[varies], rtol=1e-4)
        assert (network.scale[~varies] == 0).all()
    assert len(set(seeds)) == 3


def test_tiles_of_judged_patients_change_only_their_own_prediction() -> None:
    bags, labels = make_bags(45, shift=3)
    parts = np.arange(45) // 3 % 5
    clean = predict_mil_fold(MilFold(measure_bags(bags), labels, parts, 2, SMALL, 9))
    judged = np.flatnonzero(parts == 2)
    bags[judged[0]] = bags[judged[0]] * np.float16(3)
    again = predict_mil_fold(MilFold(measure_bags(bags), labels, parts, 2, SMALL, 9))
    assert again.predicted[0, 0] != clean.predicted[0, 0]
    np.testing.assert_array_equal(again.predicted[1:], clean.predicted[1:])
    np.testing.assert_array_equal(again.inner_score, clean.inner_score)


def test_patients_without_a_label_are_neither_learnt_from_nor_judged() -> None:
    bags, labels = make_bags(45, shift=3)
    parts = np.arange(45) // 3 % 5
    labels[[6, 7, 20]] = np.nan  # fold 2, fold 2, fold 1
    answer = predict_mil_fold(MilFold(measure_bags(bags), labels, parts, 2, SMALL, 9))
    kept = np.setdiff1d(np.arange(45), [20])
    without = predict_mil_fold(
        MilFold(measure_bags([bags[k] for k in kept]), labels[kept], parts[kept], 2, SMALL, 9)
    )
    np.testing.assert_array_equal(answer.predicted, without.predicted)
    assert np.isnan(answer.predicted[:, 0]).tolist() == np.isnan(labels[parts == 2, 0]).tolist()
    assert np.isnan(answer.predicted).sum() == 2


def test_several_values_are_predicted_at_once_and_missing_ones_ignored() -> None:
    bags, _ = make_bags(80, seed=4)
    means = np.array([bag[:, :2].astype(np.float64).mean(0) for bag in bags])
    values = (means - means.mean(0)) / means.std(0) * [5, 0.2] + [100, -3]
    values[::7, 1] = np.nan
    settings = MilSettings(hidden=24, attention=8, dropout=0, rate=0.01, epochs=40, members=2)
    head = train_mil(measure_bags(bags[:60]), values[:60], settings, 1, kind=TargetKind.CONTINUOUS)
    predicted = head.predict(bags[60:])
    for target in range(2):
        there = np.isfinite(values[60:, target])
        pair = predicted[there, target], values[60:][there, target]
        assert np.corrcoef(*pair)[0, 1] > 0.8
        assert abs(pair[0].mean() - pair[1].mean()) < pair[1].std()
    assert (head.inner_score > 0.5).all()


def test_balanced_classes_keep_probabilities_near_the_true_share() -> None:
    bags, _ = make_bags(60)
    labels = (np.arange(60) % 6 == 0).astype(np.float64)[:, None]
    for balanced in (False, True):
        settings = SMALL.model_copy(update={"balanced": balanced, "rate": 1e-4})
        predicted = train_mil(measure_bags(bags), labels, settings, 0).predict(bags)
        assert predicted.mean() == pytest.approx(1 / 6, abs=0.05)
        _, scale = find_kind(TargetKind.BINARY).scale(labels, balanced)
        assert scale.positive_weight == pytest.approx(5 if balanced else 1)


def test_a_single_positive_is_learnt_from_and_loss_alone_decides() -> None:
    bags, _ = make_bags(20)
    labels = (np.arange(20) == 3).astype(np.float64)[:, None]
    notes = Notes()
    head = train_mil(measure_bags(bags), labels, SMALL, 0, notes)
    assert np.isnan(head.inner_score).all()
    assert all(score < 0 for score in notes.scores)


def test_weights_that_run_away_are_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bags, labels = make_bags(30)
    measured = measure_bags(bags)
    judge = AttentionNetwork.predict

    def run_away(network: AttentionNetwork, bag: Floats) -> torch.Tensor:
        return judge(network, bag) * torch.nan

    with monkeypatch.context() as patch:
        patch.setattr(AttentionNetwork, "predict", run_away)
        head = train_mil(measured, labels, SMALL, 0)
    assert head.epochs == (0,)
    assert np.isnan(head.inner_score).all()
    assert np.isfinite(head.predict(bags)).all()


@pytest.mark.parametrize(("value", "word"), [(0.0, "positive"), (1.0, "negative")])
def test_one_class_is_refused_by_name(value: float, word: str) -> None:
    bags, labels = make_bags(12)
    with pytest.raises(ConfigError, match=rf"training part: no {word} among 12 patients"):
        train_mil(measure_bags(bags), np.full_like(labels, value), SMALL, 0)


@pytest.mark.parametrize(
    "bad", [np.full((12, 1), 0.5), np.zeros((12, 2)), np.full((12, 1), np.nan)]
)
def test_other_labels_than_yes_and_no_are_refused(bad: Floats) -> None:
    bags, _ = make_bags(12)
    with pytest.raises(ConfigError, match=r"take one target of 0 and 1"):
        train_mil(measure_bags(bags), bad, SMALL, 0)
