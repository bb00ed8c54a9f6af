import numpy as np
import pytest

from histo_ray.pooling.weighted_mean import divide_sums, merge_sums, sum_piece


def tiles_of(count: int, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(2).standard_normal((count, dim)).astype(np.float32)


def test_pieces_add_up_to_the_weighted_mean() -> None:
    tiles, weights = tiles_of(300, 7), np.random.default_rng(4).random((2, 300), np.float32)
    cuts = [slice(0, 11), slice(11, 250), slice(250, 300)]
    weighed = merge_sums(sum_piece(tiles[cut], weights[:, cut]) for cut in cuts)
    plain = [np.average(tiles.astype(np.float64), axis=0, weights=row) for row in weights]
    np.testing.assert_allclose(divide_sums(weighed), plain, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weighed.total, weights.sum(axis=1), rtol=1e-6)


def test_without_weight_there_is_no_mean() -> None:
    weighed = sum_piece(tiles_of(4, 3), np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.float32))
    means = divide_sums(weighed)
    assert np.isnan(means[0]).all()
    np.testing.assert_array_equal(means[1], tiles_of(4, 3)[1])


def test_bad_numbers_stay_in_their_column() -> None:
    tiles = tiles_of(4, 3)
    tiles[2, 1] = np.inf
    found = divide_sums(sum_piece(tiles, np.ones((1, 4), np.float32)))
    assert np.isfinite(found[0]).tolist() == [True, False, True]


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no piece to be summed"):
        merge_sums([])
