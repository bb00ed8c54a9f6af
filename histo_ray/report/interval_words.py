"""What intervals of cross-validated scores and differences say, and how often they hold. Pure."""

from histo_ray.evaluate.evaluation_record import EvaluationRecord

INTERVALS_THAT_HOLD = 3
"""`statistics_version` from which intervals know that patients also train."""
EXPECTED_SCORE = (
    "Of the expected score, on new patients, of heads trained on as many as a training part has"
)
OF_THE_TEST = "Of the corrected test that gives P: leaves out 0 where P is below 0.05"
_FIXED_HEADS = "Bootstrap over patients with the same trained heads, by an old version: too narrow"


def explain_score_interval(record: EvaluationRecord) -> str:
    """Explain the interval of a score."""
    return EXPECTED_SCORE if _holds(record) else _FIXED_HEADS


def explain_difference_interval(record: EvaluationRecord) -> str:
    """Explain the interval of a difference."""
    return OF_THE_TEST if _holds(record) else _FIXED_HEADS


def _holds(record: EvaluationRecord) -> bool:
    return record.statistics_version >= INTERVALS_THAT_HOLD
