import numpy as np
import pytest
import torch

from histo_ray.errors import ConfigError
from histo_ray.pooling.class_weights import ClassHead, choose_classes, class_probabilities

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


def test_classes_are_chosen_by_name() -> None:
    assert choose_classes(["TUM", "ADI"], CLASSES, "ft").tolist() == [[1, 0, 1]]
    with pytest.raises(
        ConfigError, match="pool class:LYM,TUM: ft knows no class LYM, choose among ADI, STR, TUM"
    ):
        choose_classes(["LYM", "TUM"], CLASSES, "ft")
