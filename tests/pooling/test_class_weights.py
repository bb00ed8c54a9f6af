import numpy as np
import pytest
import torch

from histo_ray.errors import ConfigError
from histo_ray.pooling.class_weights import (
    ClassHead,
    average,
    choose_classes,
    class_probabilities,
    merge_weighed,
    weigh_piece,
)

CLASSES = ("ADI", "STR", "TUM")


def head_of(dim: int, scale: float = 1.0) -> ClassHead:
    random = np.random.default_rng(1)
    weight = random.standard_normal((3, dim)).astype(np.float32) * np.float32(scale)
    return ClassHead(CLASSES, weight, np.array([0.1, -2, 0.5], np.float32))


def tiles_of(count: int, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(2).standard_normal((count, dim)).astype(np.float32)


def test_probabilities_are_those_of_the_layer_in_torch() -> None:
    head, tiles = head_of(40), tiles_of(17, 40)
    logits = torch.nn.functional.linear(*map(torch.from_numpy, (tiles, head.weight, head.bias)))
    plain = torch.softmax(logits, dim=1).numpy().T
    np.testing.assert_allclose(class_probabilities(head, tiles), plain, rtol=2e-5, atol=1e-7)


def test_probabilities_of_sure_heads_and_bad_tiles_warn_of_nothing() -> None:
    tiles = tiles_of(5, 4)
    tiles[3, 2] = np.inf
    found = class_probabilities(head_of(4, scale=1e4), tiles)
    np.testing.assert_allclose(np.delete(found, 3, axis=1).sum(axis=0), 1, rtol=1e-6)
    assert np.isnan(found[:, 3]).any()


def test_pieces_add_up_to_the_weighted_mean() -> None:
    tiles, weights = tiles_of(300, 7), np.random.default_rng(4).random((2, 300), np.float32)
    cuts = [slice(0, 11), slice(11, 250), slice(250, 300)]
    weighed = merge_weighed(weigh_piece(tiles[cut], weights[:, cut]) for cut in cuts)
    plain = [np.average(tiles.astype(np.float64), axis=0, weights=row) for row in weights]
    np.testing.assert_allclose(average(weighed), plain, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weighed.total, weights.sum(axis=1), rtol=1e-6)


def test_without_weight_there_is_no_mean() -> None:
    weighed = weigh_piece(tiles_of(4, 3), np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.float32))
    means = average(weighed)
    assert np.isnan(means[0]).all()
    np.testing.assert_array_equal(means[1], tiles_of(4, 3)[1])


def test_bad_numbers_stay_in_their_column() -> None:
    tiles = tiles_of(4, 3)
    tiles[2, 1] = np.inf
    found = average(weigh_piece(tiles, np.ones((1, 4), np.float32)))
    assert np.isfinite(found[0]).tolist() == [True, False, True]


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no piece was weighed"):
        merge_weighed([])


def test_classes_are_chosen_by_name() -> None:
    assert choose_classes(["TUM", "ADI"], CLASSES, "ft").tolist() == [[1, 0, 1]]
    with pytest.raises(
        ConfigError, match="pool class:LYM,TUM: ft knows no class LYM, choose among ADI, STR, TUM"
    ):
        choose_classes(["LYM", "TUM"], CLASSES, "ft")
