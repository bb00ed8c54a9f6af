"""Endpoints of label tables: spellings of events, rows that cannot be used, contradictions."""

from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.survival import SurvivalConfig
from histo_ray.labels.column_labels import ColumnRows, open_column_file
from histo_ray.labels.endpoints import Endpoint, parse_endpoints
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.survival_labels import read_survival

OS = Endpoint("OS", "months", "status")


def read(folder: Path, rows: str, words: tuple[str, ...] = ()) -> LabelTable:
    path = folder / "labels.csv"
    path.write_text("patient_id,months,status\n" + rows)
    return read_survival(open_file(path), [OS], words)


def open_file(path: Path) -> ColumnRows:
    return open_column_file(LabelSettings(labels=str(path)), {"P1", "P2"}, {})


@pytest.mark.parametrize(
    ("event", "censored"),
    [("1", "0"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("dead", "Alive"), ("Deceased", "living"),
     ("1:DECEASED", "0:LIVING"), ("1:Recurred/Progressed", "0:DiseaseFree"), ("yes", "no")],
)  # fmt: skip
def test_events_are_read_as_they_are_usually_written(
    tmp_path: Path, event: str, censored: str
) -> None:
    found = read(tmp_path, f"P1,10.5,{event}\nP2,7,{censored}\nP3,3,{event}\n")
    assert found.patients == ("P1", "P2", "P3")
    assert found.targets == ("OS",)
    assert found.values[:, 0].tolist() == [10.5, -7, 3]


def test_other_words_are_refused_with_what_is_right_or_named_as_events(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has '2', but an event is 1, true, .* --event-value"):
        read(tmp_path, "P1,10,2\nP2,7,1\n")
    found = read(tmp_path, "P1,10,2\nP2,7,1\nP3,8,\n", ("2",))
    assert found.values[:2, 0].tolist() == [10, -7]
    assert np.isnan(found.values[2, 0])
    with pytest.raises(ConfigError, match="no cell of column status is gone"):
        read(tmp_path, "P1,10,1\nP2,7,0\n", ("gone",))


def test_rows_that_say_nothing_are_set_aside_by_name(tmp_path: Path) -> None:
    rows = "P1,10,1\nP2,-1,1\nP3,0,0\nP4,,1\nP5,6,NA\nP6,[Not Available],[Not Available]\nP7,2,0\n"
    found = read(tmp_path, rows)
    np.testing.assert_array_equal(found.values[:, 0], [10, *[np.nan] * 5, -2])
    told = " | ".join(found.notes)
    assert "1 patient set aside with an event status but no time (P4)" in told
    assert "1 patient set aside with a time but no event status (P5)" in told
    assert "1 patient set aside with a negative time (P2)" in told
    assert "1 patient set aside with a time of 0, which says nothing of an order (P3)" in told
    assert "P6" not in told


def test_rows_of_a_patient_must_agree(tmp_path: Path) -> None:
    same = read(tmp_path, "TCGA-05-4249-01A,9,1\nTCGA-05-4249-02A,9,1\nP2,4,0\n")
    assert same.patients == ("P2", "TCGA-05-4249")
    assert same.values[:, 0].tolist() == [-4, 9]
    with pytest.raises(ConfigError, match=r"1 patient with rows that differ .* \(P1\)"):
        read(tmp_path, "P1,9,1\nP1,9,0\nP2,4,0\n")


def test_a_column_of_words_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has 'long' where a time is needed"):
        read(tmp_path, "P1,long,1\nP2,4,0\n")
    path = tmp_path / "labels.csv"
    path.write_text("patient_id,os_months,status\nP1,1,1\n")
    with pytest.raises(ConfigError, match=r"no column months; its columns are .* os_months"):
        read_survival(open_file(path), [OS])
    path.write_text("gene,P1,P2\nTP53,0,1\n")
    with pytest.raises(ConfigError, match="patients are in columns"):
        open_file(path)


def test_endpoints_are_spelled_as_a_pair_or_by_name() -> None:
    assert parse_endpoints(["OS=t, e"]) == (Endpoint("OS", "t", "e"),)
    assert parse_endpoints([], "OS.time", "OS") == (Endpoint("OS", "OS.time", "OS"),)
    for spelled, pair, told in (
        (["OS"], (None, None), "must be NAME=TIME,EVENT"),
        ([], ("t", None), "time: without event"),
        ([], (None, None), "none is named"),
        (["e=a,b"], ("t", "e"), "e is there twice"),
    ):
        with pytest.raises(ValueError, match=told):
            parse_endpoints(spelled, *pair)


def test_settings_refuse_times_that_cannot_be() -> None:
    given = {"store": "S", "labels": "L", "encoder": ("e",), "time": "t", "event": "e"}
    assert SurvivalConfig.model_validate(given | {"times": (5, 1, 5)}).times == (1, 5)
    with pytest.raises(ValueError, match="must be finite numbers above 0"):
        SurvivalConfig.model_validate(given | {"times": (0,)})
