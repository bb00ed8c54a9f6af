"""Runs are told later: by their records, or by what a table of an older version says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.run_tables import list_runs, read_run, read_runs
from histo_ray.store.store import Store, open_store
from histo_ray.types import Outcome, RunRow

OLD, NEW, LAST = "20260101T080000-aaaaaa", "20260202T090000-bbbbbb", "20260203T100000-cccccc"
ROWS = [
    RunRow("S1", "e", Outcome.DONE, "", 90, 1.5),
    RunRow("S2", "e", Outcome.FAILED, "torn", 0, 0.5, "P2"),
    RunRow("S2", "f", Outcome.FAILED, "torn", 0, 0.5, "P2"),
]
RECORD = RunRecord(
    run_id=NEW,
    state=ExtractionState.FINISHED,
    began_at="2026-02-02T09:00:00+00:00",
    encoders=("e", "f"),
    outcomes={"done": 1, "failed": 2},
    slides=2,
    seconds=61.5,
    tiles_per_s=12.25,
    bottleneck="reader-bound",
    hint="readers busy 99%, encoders 20%: more of them",
    settings={"store": "here"},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(str(tmp_path / "store"), create=True)
    made.write_run(OLD, ROWS)
    made.write_run(NEW, ROWS, RECORD)
    made.write_run(LAST, ROWS[:1], RECORD.model_copy(update={"run_id": LAST}))
    return made


def test_runs_are_listed_newest_first_with_what_they_said_of_themselves(
    store: Store, tmp_path: Path
) -> None:
    runs = list_runs(str(tmp_path / "store"), 9)
    assert [record.run_id for record in runs.records] == [LAST, NEW, OLD]
    assert runs.records[1] == RECORD
    assert (runs.problems, runs.older) == ([], 0)
    few = list_runs(str(tmp_path / "store"), 1)
    assert ([record.run_id for record in few.records], few.older) == ([LAST], 2)


def test_a_table_without_a_record_tells_what_its_rows_do(store: Store, tmp_path: Path) -> None:
    *_, old = list_runs(str(tmp_path / "store"), 9).records
    assert (old.state, old.began_at) == ("unknown", "2026-01-01T08:00:00+00:00")
    assert (old.encoders, old.outcomes, old.slides) == (("e", "f"), {"done": 1, "failed": 2}, 2)
    assert (old.bottleneck, old.seconds) == ("", 0)


def test_a_table_of_the_first_version_and_of_a_strange_name_is_told_too(
    store: Store, tmp_path: Path
) -> None:
    names = [name for name in arrow_schema("runs").names if name not in ("patient_id", "synthetic")]
    table = pq.read_table(tmp_path / "store/runs" / f"{OLD}.parquet").select(names)
    pq.write_table(table, tmp_path / "store/runs/mine.parquet")
    record, rows = read_run(str(tmp_path / "store"), "mine")
    assert (record.run_id, record.began_at, record.outcomes) == (
        "mine",
        "",
        {"done": 1, "failed": 2},
    )
    assert list(rows["patient_id"]) == ["", "", ""]


def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_known(
    store: Store, tmp_path: Path
) -> None:
    newer = type("Newer", (RunRecord,), {"__annotations__": {"mood": str}})
    record = newer(**RECORD.model_dump() | {"mood": "good", "run_id": NEW})
    store.write_run(NEW, ROWS, record)
    assert list_runs(str(tmp_path / "store"), 9).records[1] == RECORD


@pytest.mark.parametrize("harm", ["torn", "foreign", "not a record"])
def test_a_damaged_table_is_named_and_hides_no_other(
    harm: str, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "store/runs" / f"{NEW}.parquet"
    if harm == "torn":
        path.write_bytes(path.read_bytes()[:100])
    elif harm == "foreign":
        pq.write_table(pa.table({"x": [1]}), path)
    else:
        schema = arrow_schema("runs").with_metadata({b"histo_ray": b'{"run_id": 3}'})
        pq.write_table(schema.empty_table(), path)
    runs = list_runs(str(tmp_path / "store"), 9)
    assert [record.run_id for record in runs.records] == [LAST, OLD]
    (problem,) = runs.problems
    assert problem.startswith(f"runs/{NEW}.parquet: cannot be read (")
    assert "\n" not in problem
    with pytest.raises(StoreError, match=rf"run {NEW}: .* is damaged .* delete it"):
        read_run(str(tmp_path / "store"), NEW)


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store, tmp_path: Path) -> None:
    record, rows = read_run(str(tmp_path / "store"), "20260202")
    assert record == RECORD
    assert list(rows["slide_id"]) == ["S1", "S2", "S2"]
    for run_id, told in (("202602", "2 runs begin so"), ("2025", "no such run")):
        with pytest.raises(StoreError, match=told):
            read_run(str(tmp_path / "store"), run_id)


def test_a_record_disturbs_no_reader_of_the_table(store: Store, tmp_path: Path) -> None:
    tables, problems = read_runs(str(tmp_path / "store"))
    assert (len(tables), problems) == (3, [])
    assert store.sql("select count(*) from runs where outcome = 'failed'").fetchall() == [(4,)]


def test_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store\.json"):
        list_runs(str(tmp_path / "nothing"), 9)
