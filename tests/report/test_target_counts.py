import numpy as np
import pandas as pd

from histo_ray.report.targets.target_counts import LEVEL, CountedTargets, count_found, count_pair


def targets() -> pd.DataFrame:
    rows = [
        # target, encoder, score, q_chance, p_paper
        ("G1", "a", 0.30, 0.010, 0.001),
        ("G1", "b", 0.40, 0.001, 0.000),
        ("G2", "a", 0.05, 0.400, 0.040),  # passes uncorrected only
        ("G2", "b", 0.02, 0.700, 0.200),
        ("G3", "a", 0.00, 0.900, 0.600),
        ("G3", "b", 0.01, 0.900, 0.500),
        ("G4", "a", np.nan, np.nan, np.nan),  # one encoder could not be scored
        ("G4", "b", 0.20, 0.020, 0.010),
        ("G1", "c", 0.90, 0.000, 0.000),  # another encoder, of no concern here
        ("G5", "c", 0.90, 0.000, 0.000),
        ("G6", "a", np.inf, 0.049999, LEVEL),  # not below the level
    ]
    columns = ["target", "encoder", "score", "q_chance", "p_paper"]
    return pd.DataFrame(rows, columns=columns)


def comparisons() -> pd.DataFrame:
    rows = [
        ("G1", "a", "b", 0.10, 0.01, 0.001),
        ("G2", "a", "b", -0.03, 0.04, 0.001),
        ("G3", "a", "b", 0.01, 0.80, 0.040),
        ("G4", "a", "b", np.nan, np.nan, np.nan),
        ("G1", "a", "c", 0.60, 0.00, 0.000),
    ]
    columns = ["target", "encoder_a", "encoder_b", "difference", "q_corrected", "p_plain"]
    return pd.DataFrame(rows, columns=columns)


def test_each_count_is_of_its_own_genes() -> None:
    found = count_pair(targets(), comparisons(), "a", "b")
    assert found.by_paper == CountedTargets(2, 1)  # G1 and G2, of which only G1 is higher with b
    assert found.everything == CountedTargets(3, 2)  # G4 has no difference
    assert found.p_plain == 3


def test_a_pair_without_rows_counts_nothing() -> None:
    found = count_pair(targets(), comparisons(), "b", "c")
    assert found.everything == found.by_paper == CountedTargets(0, 0)


def test_found_targets_are_below_the_level_and_have_a_score() -> None:
    assert count_found(targets(), "a") == (4, 2, 2)
    assert count_found(targets(), "b") == (4, 2, 2)
    assert count_found(targets(), "nobody") == (0, 0, 0)
