import numpy as np
from statsmodels.stats.multitest import multipletests

from histo_ray.learn.statistics import PaperCount, adjust_holm, count_as_paper


def test_the_paper_counts_what_either_encoder_finds() -> None:
    p_a = np.array([0.01, 0.2, 0.04, 0.9, 0.05, np.nan])
    p_b = np.array([0.3, 0.01, 0.04, 0.8, 0.06, 0.01])
    score_a = np.array([0.3, 0.1, 0.2, 0.1, 0.0, np.nan])
    score_b = np.array([0.1, 0.3, 0.3, 0.9, 0.3, 0.5])
    assert count_as_paper(p_a, p_b, score_a, score_b) == PaperCount(6, 4, 2)
    assert count_as_paper(p_a, p_b, score_a, score_b, level=0.02) == PaperCount(6, 3, 1)


def test_holm_multiplies_by_the_number_that_is_left() -> None:
    found = adjust_holm([0.01, np.nan, 0.04, 0.03, 0.9])
    expected = multipletests([0.01, 0.04, 0.03, 0.9], method="holm")[1]
    np.testing.assert_allclose(found[[0, 2, 3, 4]], expected)
    assert np.isnan(found[1])
    assert adjust_holm([]).shape == (0,)
