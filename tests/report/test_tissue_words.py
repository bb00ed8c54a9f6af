"""One comparison on tiles in words."""

import pytest

from histo_ray.evaluate.evaluation_record import TileComparisonRecord
from histo_ray.report.tissue.tissue_words import describe_comparison


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "b - a, recall BACK: +0.0000 no interval, no p: too few groups for a test"),
        ({"split": "test", "low": -0.1, "high": 0.1},
         "b - a, recall BACK: +0.0000 [-0.1000, +0.1000], no p: external test set"),
        ({"difference": None}, "b - a, recall BACK: – no interval, no p: too few groups"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said_and_not_printed_as_nan(
    changes: dict[str, object], told: str
) -> None:
    made = {
        "split": "cv", "encoder_a": "a", "encoder_b": "b", "metric": "recall", "label": "BACK",
        "difference": 0.0,
    }  # fmt: skip
    line = describe_comparison(TileComparisonRecord.model_validate(made | changes))
    assert line.startswith(told)
    assert "nan" not in line
