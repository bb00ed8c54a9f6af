"""The cohort's table: rows, labels, predictions, filter."""

import pandas as pd

from histo_ray.view.cohort_filter import CohortFilter
from histo_ray.view.cohort_table import (
    EvaluatedTargets,
    add_labels,
    add_predictions,
    tabulate_cohort,
)
from histo_ray.view.viewed_store import COLUMNS


def slide_row(slide_id: str, encoder: str, tiles: int, reason: str = "") -> dict[str, object]:
    known: dict[str, object] = {
        "slide_id": slide_id,
        "patient_id": f"P{slide_id}",
        "site": "A",
        "encoder": encoder,
    }
    known |= {"tiling": "t1", "n_tiles": tiles, "mpp_x": 0.25, "empty_reason": reason}
    return {name: known.get(name, 1) for name in COLUMNS}


def make_table() -> pd.DataFrame:
    slides = pd.DataFrame(
        [slide_row("b", "e2", 7), slide_row("b", "e1", 7), slide_row("a", "e1", 0, "no tissue")]
    )
    runs = pd.DataFrame(
        {
            "slide_id": ["c", "c", "a", "b"],
            "patient_id": ["Pc", "Pc", "Pa", "Pb"],
            "site": None,
            "encoder": "e1",
            "outcome": ["failed", "failed", "empty", "done"],
            "reason": ["first", "damaged", "no tissue", ""],
            "n_tiles": [0, 0, 0, 7],
        }
    )
    return tabulate_cohort(slides, [runs])


def test_every_slide_has_a_row_with_its_outcome_lost_ones_too() -> None:
    table = make_table().set_index("slide_id")
    assert table["outcome"].to_dict() == {"a": "empty", "b": "done", "c": "failed"}
    assert table["encoders"].to_dict() == {"a": "e1", "b": "e1, e2", "c": ""}
    assert table["tiles"].to_dict() == {"a": 0, "b": 7, "c": 0}
    assert table.loc["c", "reason"] == "damaged"
    assert tabulate_cohort(pd.DataFrame(columns=COLUMNS), []).empty


def test_labels_are_joined_by_patient_and_sort_as_numbers() -> None:
    rows = [{"patient_id": "Pb", "age": "61", "arm": "x"}, {"patient_id": "Pc", "age": "9.5"}]
    table = add_labels(make_table(), rows, "patient_id").set_index("slide_id")
    assert table["age"].dropna().to_dict() == {"b": 61.0, "c": 9.5}
    assert list(table.columns)[-2:] == ["encoders", "reason"]


def test_the_targets_that_are_predicted_best_are_shown_by_their_best_encoder() -> None:
    scores = pd.DataFrame(
        {
            "target": ["T1", "T1", "T2", "T3", "T4"],
            "encoder": ["e1", "e2", "e1", "e1", "e1"],
            "score": [0.6, 0.9, 0.5, 0.8, 0.7],
        }
    )
    rows = [("T1", "e1", 0.1), ("T1", "e2", 0.2), ("T1", "e2", 0.4), ("T3", "e1", 0.7)]
    predictions = pd.DataFrame(rows, columns=["target", "encoder", "predicted"])
    predictions = predictions.assign(patient_id="Pb", truth=1.0)
    table = add_predictions(make_table(), EvaluatedTargets("mutation", predictions, scores))
    names = [name for name in table if "predicted" in str(name)]
    assert names == ["T1 predicted", "T3 predicted", "T4 predicted"]
    row = table.set_index("slide_id").loc["b"]
    assert row["T1 predicted"] == (0.2 + 0.4) / 2
    assert row["T1 (mutation)"] == 1


def test_rows_are_found_by_words_by_column_and_by_outcome() -> None:
    rows = CohortFilter(make_table())
    assert rows.find("").tolist() == [0, 1, 2]
    assert rows.find("E1").tolist() == [0, 1]
    assert rows.find("e1 tissue").tolist() == [0]
    assert rows.find("slide_id:b").tolist() == [1]
    assert rows.find("[").tolist() == []
    assert rows.find("", "failed").tolist() == [2]
