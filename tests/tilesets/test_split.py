from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.errors import ConfigError
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import bind_tiles, check_disjoint, hold_out
from histo_ray.tilesets.tileset import TileSet

MakeSet = Callable[..., TileSet]


def test_each_class_is_held_out_by_the_fraction(make_set: MakeSet) -> None:
    tiles = make_set([0] * 50 + [1] * 20 + [2] * 7)
    train, held = hold_out(tiles, 0.2, seed=3)
    assert sorted([*train, *held]) == list(range(77))
    assert np.bincount(tiles.labels[held]).tolist() == [10, 4, 1]
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()


def test_the_seed_alone_decides(make_set: MakeSet) -> None:
    tiles = make_set([0] * 50 + [1] * 50)
    assert np.array_equal(hold_out(tiles, 0.3, 1)[1], hold_out(tiles, 0.3, 1)[1])
    assert not np.array_equal(hold_out(tiles, 0.3, 1)[1], hold_out(tiles, 0.3, 2)[1])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), fraction=st.sampled_from([0.1, 0.25, 0.5]))
def test_no_patient_is_in_both_parts(make_set: MakeSet, seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, 3, 300))
    groups = [f"P{g}" for g in rng.integers(0, 25, 300)]
    tiles = make_set(labels.tolist(), groups)
    train, held = hold_out(tiles, fraction, seed)
    assert not {groups[row] for row in train} & {groups[row] for row in held}
    assert set(tiles.labels[train]) == set(tiles.labels[held]) == {0, 1, 2}
    shares = np.bincount(tiles.labels[held]) / np.bincount(tiles.labels)
    assert np.abs(shares - fraction).max() < 0.12


def test_tiles_of_equal_pixels_stay_together(make_set: MakeSet) -> None:
    digests = [f"d{k // 4}" for k in range(80)]
    tiles = make_set([0] * 40 + [1] * 40, digests=digests)
    train, held = hold_out(tiles, 0.25, 0)
    assert not {digests[row] for row in train} & {digests[row] for row in held}


def test_a_twin_binds_two_patients(make_set: MakeSet) -> None:
    tiles = make_set(
        [0, 0, 0, 1, 1], ["P1", "P2", "P3", "P1", "P4"], digests=["a", "b", "c", "d", "b"]
    )
    assert bind_tiles(tiles).tolist() == [0, 1, 2, 0, 1]


def test_classes_of_one_patient_are_named_together(make_set: MakeSet) -> None:
    groups = ["P1", "P2", "P3", "P1", "P1", "P2"]
    with pytest.raises(ConfigError) as caught:
        hold_out(make_set([0, 0, 0, 1, 1, 2], groups), 0.3, 0)
    assert (
        "class 'b' has 1 group; class 'c' has 1 group: too few for a class to be in both parts"
        in str(caught.value)
    )
    with pytest.raises(ConfigError, match="class 'b' has 1 different tile: too few"):
        hold_out(make_set([0, 0, 0, 1, 1], digests=["1", "2", "3", "4", "4"]), 0.3, 0)


def test_no_split_at_all_is_told(make_set: MakeSet) -> None:
    # a needs P1 and P2 apart, b P2 and P3, c P3 and P1: three in two parts
    tiles = make_set([0, 0, 1, 1, 2, 2], ["P1", "P2", "P2", "P3", "P3", "P1"])
    with pytest.raises(ConfigError, match="no split was found"):
        hold_out(tiles, 0.5, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_an_empty_validation_part_is_refused(make_set: MakeSet, fraction: float) -> None:
    with pytest.raises(ConfigError, match="would leave a part empty"):
        hold_out(make_set([0, 0, 1, 1]), fraction, 0)


def test_even_two_tiles_a_class_are_split(make_set: MakeSet) -> None:
    tiles = make_set([0, 0, 1, 1])
    for fraction in (0.01, 0.99):
        train, held = hold_out(tiles, fraction, 0)
        assert set(tiles.labels[train]) == set(tiles.labels[held]) == {0, 1}


def test_disjoint_sets_pass(make_set: MakeSet) -> None:
    check_disjoint(make_set([0, 1], name="one"), make_set([0, 1, 1], name="two"))


def test_all_that_two_sets_must_not_share_is_told_at_once(make_set: MakeSet) -> None:
    train = make_set([0, 1, 2], ["P1", "P2", "P3"], ["x", "y", "z"], name="train")
    other = make_set([0, 1], ["P9", "P3"], ["q", "y"], name="other", tile_px=32)
    with pytest.raises(ConfigError) as caught:
        check_disjoint(train, other)
    text = str(caught.value)
    assert "tiles train and other: 4 problems" in text
    assert "tiles of 24 px and of 32 px" in text
    assert "class 'c' is in train only" in text
    assert "group 'P3' is in both" in text
    assert "/tiles/train/1.png and /tiles/other/1.png are the same pixels" in text


def test_real_halves_share_no_tile_and_split(real_tiles: Path) -> None:
    test = read_tileset(str(real_tiles / "colorectal5" / "test"))
    nine = read_tileset(str(real_tiles / "nct9"))
    assert len(test) == 1000
    train, held = hold_out(test, 0.2, 0)
    assert abs(len(held) - 200) <= len(test.classes)
    assert not {test.digests[row] for row in train} & {test.digests[row] for row in held}
    with pytest.raises(ConfigError, match="class 'AC' is in test only"):
        check_disjoint(test, nine)
