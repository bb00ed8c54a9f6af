"""What the page says of intervals, and of how often they hold."""

import pytest

from histo_ray.evaluate.evaluation_record import TileComparisonRecord, TissueRecord
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.targets.interval_words import MEASURED, note_coverage


def record_of(version: int) -> TissueRecord:
    return TissueRecord.model_validate(
        {
            "task": "tissue", "folds": {"n_folds": 5, "repeats": 2}, "sets": {}, "encoders": {},
            "classes": [], "summary": {}, "statistics_version": version,
        }
    )  # fmt: skip


@pytest.mark.parametrize("task", ["expression", "mutation", "tissue"])
def test_what_was_measured_of_a_task_is_said_of_runs_with_such_intervals(task: str) -> None:
    score = TASKS[task].words.score
    told = note_coverage(record_of(3), score)
    low, high = MEASURED[score].scores
    assert f"{low:.0f}" in told
    assert f"{high:.0f}" in told
    assert note_coverage(record_of(2), score) == ""
    assert note_coverage(record_of(3), "a score that nobody simulated") == ""


@pytest.mark.parametrize(
    ("split", "ends", "shown"),
    [
        ("cv", {"t_low": -0.1, "t_high": 0.2}, (-0.1, 0.2)),  # of old runs, too
        ("random", {"t_low": -0.1, "t_high": 0.2}, (-0.1, 0.2)),
        ("cv", {}, None),
        ("test", {}, (0.01, 0.05)),
    ],
)
def test_a_difference_of_tiles_shows_the_interval_of_its_test(
    split: str, ends: dict[str, float], shown: tuple[float, float] | None
) -> None:
    row = {"split": split, "encoder_a": "a", "encoder_b": "b", "metric": "accuracy"}
    bootstrap = {"low": 0.01, "high": 0.05}
    assert TileComparisonRecord.model_validate(row | bootstrap | ends).interval == shown
