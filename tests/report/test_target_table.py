import numpy as np
import pandas as pd
import pytest

from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.targets import target_table
from histo_ray.report.targets.target_table import RankedTargets, rank_targets, tabulate_targets


def make_scores() -> RankedTargets:
    rows = [
        # target, encoder, score, low, high, q_chance, positives
        ("G1", "b", 0.61, 0.50, 0.70, 0.200, 9),
        ("G1", "a", 0.70, 0.60, 0.80, 0.001, 9),
        ("G2", "a", 0.90, 0.80, 0.99, 0.060, 7),
        ("G3", "a", np.nan, np.nan, np.nan, np.nan, 6),
        ("G3", "b", np.nan, np.nan, np.nan, np.nan, 6),
        ("G4", "b", 0.75, 0.65, 0.85, 0.0000000000000000001, 8),
        ("G4", "a", 0.10, 0.05, 0.20, 0.900, 8),
    ]
    columns = ["target", "encoder", "score", "low", "high", "q_chance", "positives"]
    targets = pd.DataFrame(rows, columns=columns).assign(
        metric="auroc", n_patients=40, auprc=0.5, spearman=0.25, r2=-12345.6
    )
    pairs = [
        ("G1", "a", "b", -0.09, -0.2, 0.05, 0.24, np.nan),
        ("G4", "a", "b", 0.65, 0.5, 0.7, 1e-5, 0.02),
    ]
    names = ["target", "encoder_a", "encoder_b", "difference", "low", "high", "p_corrected",
             "q_found"]  # fmt: skip
    return rank_targets(targets, pd.DataFrame(pairs, columns=names), ["a", "b", "absent"])


def test_targets_stand_by_their_best_score_with_any_encoder_unscored_ones_last() -> None:
    scores = make_scores()
    assert scores.targets == ["G2", "G4", "G1", "G3"]
    assert scores.scored == ["G2", "G4", "G1"]
    assert scores.encoders == ["a", "b"]
    assert scores.by_encoder["b"]["score"].fillna(-1).tolist() == [-1, 0.75, 0.61, -1]


def test_a_row_says_all_of_its_target_and_marks_the_sure_ones() -> None:
    table = tabulate_targets(make_scores(), TASKS["mutation"].words, "genes")
    assert [tuple(column[:2]) for column in table.columns[3:8]] == [
        ("AUROC", "a"), ("95 % interval", "a"), ("AUPRC", "a"), ("q", "a"), ("AUROC", "b"),
    ]  # fmt: skip
    assert list(table.rows[2]) == [
        "G1", "40", "9", "0.700", "0.600 to 0.800", "0.500", "0.001",
        "0.610", "0.500 to 0.700", "0.500", "0.2",
        "-0.090", "-0.200 to +0.050", "0.24", "–",
    ]  # fmt: skip
    assert table.rows[1][10] == "< 1e-15"
    none = ["–", "–", "0.500", "–"]
    assert list(table.rows[3]) == ["G3", "40", "6", *none, *none, *["–"] * 4]
    assert table.marked == {1, 2}
    assert table.groups == [("", 3), ("a", 4), ("b", 4), ("b - a", 4)]


def test_expression_has_neither_positives_nor_precision() -> None:
    table = tabulate_targets(make_scores(), TASKS["expression"].words, "x")
    heads = [column.head for column in table.columns]
    assert heads[:6] == ["gene", "r", "95 % interval", "Spearman", "R2", "q"]
    (row, *_) = table.rows
    assert row[3:5] == ("0.250", "-1.2e+04")  # predictions that explode are seen
    numbers = [column for column in table.columns if column.head in ("R2", "Spearman")]
    assert all(column.sort for column in numbers)


def test_what_a_long_table_leaves_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tabulate_targets(make_scores(), TASKS["mutation"].words, "genes").note
    monkeypatch.setattr(target_table, "LISTED", 1)
    table = tabulate_targets(make_scores(), TASKS["mutation"].words, "genes")
    assert [row[0] for row in table.rows] == ["G2"]
    assert table.note.startswith("The 1 best of 4 genes; of the 3 others")
    assert "2 are better than chance" in table.note
    assert "from targets where encoder = 'a' order by score desc offset 1" in table.note
