import numpy as np

from histo_ray.learn.statistics import CorrectedCount, PaperCount, count_as_paper, count_corrected


def test_the_paper_counts_what_either_encoder_finds() -> None:
    p_a = np.array([0.01, 0.2, 0.04, 0.9, 0.05, np.nan])
    p_b = np.array([0.3, 0.01, 0.04, 0.8, 0.06, 0.01])
    score_a = np.array([0.3, 0.1, 0.2, 0.1, 0.0, np.nan])
    score_b = np.array([0.1, 0.3, 0.3, 0.9, 0.3, 0.5])
    assert count_as_paper(p_a, p_b, score_a, score_b) == PaperCount(6, 4, 2)
    assert count_as_paper(p_a, p_b, score_a, score_b, level=0.02) == PaperCount(6, 3, 1)


def test_the_corrected_count_chooses_nothing_before_it_compares() -> None:
    q_a = np.array([0.01, 0.9, 0.9, 0.9, np.nan])
    q_b = np.array([0.01, 0.01, 0.9, 0.9, 0.9])
    difference = np.array([0.2, -0.1, 0.3, -0.4, np.nan])
    q_difference = np.array([0.01, 0.01, 0.01, 0.2, np.nan])
    assert count_corrected(q_a, q_b, difference, q_difference) == CorrectedCount(
        targets=5, found_a=1, found_b=2, found=2, b_higher=2, b_better=2, a_better=1
    )
