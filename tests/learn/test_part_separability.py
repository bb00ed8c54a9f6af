"""How well colour tells parts apart, on parts whose difference is known."""

import numpy as np

from histo_ray.learn.tiles.part_separability import separate_folds, separate_parts


def test_parts_of_other_stain_are_told_within_their_class_alone() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 120)
    in_test = rng.random(360) < 0.4
    colours = rng.normal(0, 1, (360, 4))
    colours[:, 0] += 3 * labels  # classes differ, which says nothing of parts
    colours[in_test & (labels == 1), 1] += 4
    found = separate_parts(colours, labels, in_test, 4)
    assert abs(found[0] - 0.5) < 0.12
    assert found[1] > 0.93
    assert abs(found[2] - 0.5) < 0.12
    assert np.isnan(found[3])  # no tile of it


def test_folds_of_whole_slides_are_told_and_random_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    slide = rng.integers(0, 10, 400)
    colours = rng.normal(0, 4, (10, 9))[slide] + rng.normal(0, 1, (400, 9))
    labels = np.zeros(400, int)
    grouped = separate_folds(colours, labels, slide % 5, 1)
    random = separate_folds(colours, labels, rng.integers(0, 5, 400), 1)
    assert grouped[0] > 0.9
    assert abs(random[0] - 0.5) < 0.08
