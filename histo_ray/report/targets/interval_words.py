"""What intervals of cross-validated scores and differences say, and how often they hold. Pure."""

from typing import NamedTuple

from histo_ray.evaluate.evaluation_record import EvaluationRecord

INTERVALS_THAT_HOLD = 3
"""`statistics_version` from which intervals know that patients also train."""
EXPECTED_SCORE = (
    "Of the expected score, on new patients, of heads trained on as many as a training part has"
)
OF_THE_TEST = "Of the corrected test that gives P: leaves out 0 where P is below 0.05"


class Coverage(NamedTuple):
    """Cohorts in percent, least and most of all designs, whose 95 % interval held the truth."""

    patients: str
    """Numbers of patients that were simulated."""
    scores: tuple[float, float]
    differences: tuple[float, float]


MEASURED = {
    "correlation": Coverage("60 to 500 patients", (92.3, 97.0), (95.8, 99.8)),
    "AUROC": Coverage("60 to 500 patients", (93.6, 97.5), (95.0, 99.6)),
    "accuracy": Coverage("60 to 500 patients", (92.2, 98.3), (96.7, 99.7)),
}
"""By the score of a task, from `python -m benchmarks.coverage` (docs/statistics.md)."""


def note_coverage(record: EvaluationRecord, score: str) -> str:
    """Note how often such intervals held in simulations; empty where nothing was measured.

    Args:
        record: Of the evaluation; of an old version: its intervals are others.
        score: The score that decides, as `TaskWords.score`.
    """
    found = MEASURED.get(score)
    if found is None or record.statistics_version < INTERVALS_THAT_HOLD:
        return ""
    return (
        f" In simulations of {found.patients} the 95 % interval of a score held the truth in "
        f"{_range(found.scores)} % of cohorts, that of a difference in "
        f"{_range(found.differences)} %."
    )


def _range(ends: tuple[float, float]) -> str:
    low, high = (f"{end:.0f}" for end in ends)
    return low if low == high else f"{low} to {high}"
