"""The benchmark of coverage: known truths, same seeds same numbers, no contradiction."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.coverage import (
    list_cells,
    run_cell,
    summarise_differences,
    summarise_scores,
    write_candidates,
    write_table,
)
from testing.coverage_candidates import CANDIDATES, cover_candidates

CELLS = {cell.task: cell for cell in list_cells(quick=True)}


@pytest.mark.parametrize("task", ["expression", "tissue"])
def test_a_cell_is_the_same_again_and_never_contradicts_itself(task: str) -> None:
    cell = CELLS[task]
    frame = run_cell(cell, 3)
    pd.testing.assert_frame_equal(frame, run_cell(cell, 3))
    scores, pairs = summarise_scores(frame), summarise_differences(frame)
    assert pairs["contradictions"] == 0
    assert scores["width"] > 1
    assert (frame.loc[frame["of"] == "b - a", "true"] == 0).all()
    assert (frame.loc[frame["of"] == "better - a", "true"] > 0).all()
    table = write_table([(cell, scores, pairs)])
    assert len(table.splitlines()) == 3
    if task == "expression":
        found = cover_candidates(cell, frame)
        assert set(found) == set(CANDIDATES)
        assert found["chosen"] == pytest.approx(scores["covered"])
        assert "nan" not in write_candidates([(cell, found)])


def test_a_covered_truth_is_counted() -> None:
    rows = {
        "of": ["a", "a", "b - a", "b - a"], "cohort": [0, 1, 0, 1], "target": 0,
        "value": 0.5, "true": [0.5, 0.9, 0.0, 0.0], "p": [np.nan, np.nan, 0.01, 0.5],
        "low": [0.4, 0.4, 0.1, -0.1], "high": [0.6, 0.6, 0.3, 0.1],
        "before_low": 0.45, "before_high": 0.55,
    }  # fmt: skip
    frame = pd.DataFrame(rows)
    assert summarise_scores(frame)["covered"] == 50.0
    assert summarise_scores(frame)["error"] == pytest.approx(50.0)
    pairs = summarise_differences(frame)
    assert (pairs["level"], pairs["covered"], pairs["contradictions"]) == (50.0, 50.0, 0)
    frame.loc[3, "p"] = 0.01
    assert summarise_differences(frame)["contradictions"] == 1
