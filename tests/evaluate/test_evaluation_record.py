"""Records of older versions are read by the models that write those of this one."""

import json
from pathlib import Path
from typing import Any

import pytest

from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.evaluation_record import RECORD_VERSION, PatientRecord, TissueRecord
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.record_words import describe_record
from histo_ray.report.targets.target_words import write_sentences

RECORDS = sorted((Path(__file__).parent / "records").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_of_an_older_version_is_read_and_says_what_it_said(path: Path) -> None:
    content = read(path)
    record = TASKS[content["task"]].record.model_validate(content)
    assert record.record_version == 1
    assert record.run_id == content["run_id"]
    assert {one.code for one in record.caveats} <= {CaveatCode.TEXT}
    assert write_caveats(record) == content["warnings"]
    if isinstance(record, PatientRecord):
        assert write_sentences(record) == content["sentences"]
        assert record.cohort.patients_used == content["cohort"]["patients_used"]
        assert [row.target for row in record.shown] == [row["target"] for row in content["shown"]]
    else:
        assert isinstance(record, TissueRecord)
        found = {name: one.accuracy for name, one in record.summary["cv"].items()}
        assert found == {name: one["accuracy"] for name, one in content["summary"]["cv"].items()}
        assert len(record.comparisons) == len(content["comparisons"])
    assert any("Beware" in line for line in describe_record(record))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_what_is_written_is_read_as_it_was(path: Path) -> None:
    content = read(path)
    kind = TASKS[content["task"]].record
    record = kind.model_validate(content).model_copy(update={"record_version": RECORD_VERSION})
    written = json.loads(json.dumps(record.model_dump(mode="json")))
    assert kind.model_validate(written) == record
    kept = set(content) - {"warnings", "sentences"}
    assert kept <= set(written)


@pytest.mark.parametrize(
    "mark",
    [{"warnings": ["SYNTHETIC data: all 3 slides marked so"]}, {"remark": "SYNTHETIC patients"}],
)
def test_the_mark_of_synthetic_data_in_version_1_is_kept(mark: dict[str, object]) -> None:
    content = {"task": "mutation", "folds": {"n_folds": 5, "repeats": 1}, "encoders": {}}
    assert not PatientRecord.model_validate(content).synthetic
    assert PatientRecord.model_validate(content | mark).synthetic
    newer = content | mark | {"record_version": RECORD_VERSION}
    assert not PatientRecord.model_validate(newer).synthetic


def test_figures_that_are_nan_are_written_as_null() -> None:
    row = {"split": "test", "encoder_a": "a", "encoder_b": "b", "metric": "accuracy"}
    content = {
        "task": "tissue", "folds": {"n_folds": 5, "repeats": 1}, "encoders": {}, "sets": {},
        "classes": ["ADI"], "summary": {}, "comparisons": [row | {"low": float("nan")}],
    }  # fmt: skip
    written = TissueRecord.model_validate(content).model_dump_json()
    assert json.loads(written)["comparisons"][0]["low"] is None
