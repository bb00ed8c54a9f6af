import numpy as np
import pytest

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.stop_bags import split_rows
from histo_ray.learn.mil.streams import draw_member_seeds
from histo_ray.types import TargetKind
from tests.learn.mil_bags import DIM, SMALL, make_bags, small_head

CLASSES = find_kind(TargetKind.BINARY)


def test_moments_are_those_of_all_tiles_whatever_the_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bags, _ = make_bags(11)
    tiles = np.concatenate([bags[k].astype(np.float64) for k in (1, 4, 9)])
    for values in (1 << 22, 4 * DIM):
        monkeypatch.setattr("histo_ray.learn.mil.bags._VALUES", values)
        mean, sd = measure_bags(bags).take(np.array([1, 4, 9])).moments()
        np.testing.assert_allclose(mean, tiles.mean(0), rtol=1e-12)
        np.testing.assert_allclose(sd, tiles.std(0), rtol=1e-9, atol=1e-12)


def test_large_half_floats_do_not_overflow() -> None:
    bag = np.full((5000, 3), 60_000, np.float16)
    bag[::2] = 50_000
    mean, sd = measure_bags([bag, bag]).moments()
    assert mean.tolist() == [55_008.0] * 3 or np.allclose(mean, bag.astype(np.float64).mean(0))
    np.testing.assert_allclose(sd, bag.astype(np.float64).std(0))


def test_each_member_stops_on_others_and_each_part_has_both_classes() -> None:
    labels = (np.arange(43) < 6).astype(np.float64)[:, None]
    settings = SMALL.model_copy(update={"members": 4, "stop_share": 0.25})
    splits = split_rows(labels, CLASSES, settings, 1)
    assert sorted(np.concatenate([split.stop for split in splits]).tolist()) == list(range(43))
    for split in splits:
        assert not set(split.train) & set(split.stop)
        assert len(split.train) + len(split.stop) == 43
        assert set(labels[split.stop, 0]) == set(labels[split.train, 0]) == {0, 1}


def test_groups_are_held_out_whole() -> None:
    bags, labels = make_bags(40)
    sites = [f"site {k % 9}" for k in range(40)]
    measured = measure_bags(bags, sites).take(np.arange(2, 38))
    assert measured.groups is not None
    for split in split_rows(labels[2:38], CLASSES, SMALL, 0, measured.groups):
        assert not set(measured.groups[split.stop]) & set(measured.groups[split.train])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bags_that_are_not_finite_are_named(value: float) -> None:
    bags, _ = make_bags(4)
    bags[2][-1, -1] = value
    bags[2][0, -1] = -value
    with pytest.raises(ConfigError, match=r"bag 2: some of its vectors have nan or infinity"):
        measure_bags(bags)


def test_empty_and_odd_bags_are_named() -> None:
    bags, _ = make_bags(4)
    with pytest.raises(ConfigError, match=r"bags: there are none"):
        measure_bags([])
    with pytest.raises(ConfigError, match=r"bag 4: shape \(0, 7\), must be"):
        measure_bags([*bags, bags[0][:0]])
    with pytest.raises(ConfigError, match=r"bag 4: shape \(9, 5\)"):
        measure_bags([*bags, np.zeros((9, 5), np.float16)])
    head, _ = small_head()
    for bag in (bags[0][:0], np.zeros((9, 5), np.float16)):
        with pytest.raises(ConfigError, match=r"bag: shape .*must be \(tiles, 7\)"):
            head.predict([bag])


def test_more_members_than_parts_share_them_but_no_seed() -> None:
    _, labels = make_bags(45)
    settings = parse_settings(MilSettings, {"stop_share": 0.5, "members": 5}, "mil")
    splits = split_rows(labels, CLASSES, settings, 1)
    np.testing.assert_array_equal(splits[0].stop, splits[2].stop)
    assert len(set(draw_member_seeds(settings, 7))) == 5


def test_scores_are_nan_where_labels_do_not_differ() -> None:
    answers = np.array([[0.1], [0.9], [0.4]])
    assert np.isnan(CLASSES.score_inner(np.zeros((3, 1)), answers)).all()
    assert CLASSES.score_inner(np.array([[0.0], [1], [1]]), answers).tolist() == [1.0]
    truth = np.array([[0.0, 1], [0, np.nan], [0, -1]])
    guess = np.array([[1.0, 1], [1, 9], [1, 0]])
    scores = find_kind(TargetKind.CONTINUOUS).score_inner(truth, guess)
    assert np.isnan(scores[0])
    assert scores[1] == pytest.approx(0.5)
