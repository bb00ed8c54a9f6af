"""Evaluations that are made twice at once, killed or damaged; without Ray."""

import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from histo_ray.errors import StoreError
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.events import Event, FoundState, RunFound, WaitingForRun
from histo_ray.evaluate.run_once import run_once
from histo_ray.storage.seal import seal_json, strip_marks
from histo_ray.store import claim
from histo_ray.store.tables import PIECES, TableFolder, open_evaluation

TABLE = pa.table({"a": [1.0]})


@pytest.fixture
def folder(tmp_path: Path) -> TableFolder:
    return open_evaluation(str(tmp_path), "expression", "expression-1")


def make_note(folder: TableFolder) -> PatientRecord:
    """Write a record as an evaluation does."""
    note = {
        "run_id": "expression-1", "task": "expression", "encoders": {},
        "folds": {"n_folds": 3, "repeats": 2},
    }  # fmt: skip
    folder.write_note("run", note)
    return PatientRecord.model_validate(note)


def add_piece(folder: TableFolder) -> None:
    folder.child(PIECES).write("000.0000", [TABLE], TABLE.schema)


def test_of_two_at_once_one_works_and_the_other_waits_for_it(
    folder: TableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "LOOK_S", 0.02)
    begun, go, made = threading.Event(), threading.Event(), list[int]()
    told: dict[int, list[Event]] = {1: [], 2: []}

    def work() -> PatientRecord:
        made.append(1)
        add_piece(folder)
        begun.set()
        assert go.wait(10)
        return make_note(folder)

    found: dict[int, Any] = {}

    def run(number: int) -> None:
        found[number] = run_once(folder, told[number].append, work)

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    while not told[2]:
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert found[1] == found[2]
    assert isinstance(told[2][0], WaitingForRun)
    assert told[2][1] == RunFound("expression-1", FoundState.DONE)
    assert folder.names() == ["run.json"]


def test_without_locks_the_second_finds_the_pieces_gone_and_the_run_done(
    folder: TableFolder,
) -> None:
    told = list[Event]()

    def work() -> PatientRecord:
        make_note(folder)  # by the first
        add_piece(folder)  # by a task of the second that was still at work
        raise StoreError("pieces/000.0001.parquet: no such file")

    assert run_once(folder, told.append, work).record.run_id == "expression-1"
    assert told == [RunFound("expression-1", FoundState.FINISHED_BY_ANOTHER)]
    assert folder.names() == ["run.json"]


def test_pieces_of_a_killed_process_are_removed_when_the_run_is_asked_again(
    folder: TableFolder,
) -> None:
    make_note(folder)
    add_piece(folder)
    run_once(folder, lambda event: None, lambda: pytest.fail("done already"))
    assert folder.names() == ["run.json"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{", "is damaged (Expecting property"),
        (b"", "is damaged (Expecting value"),
        (b"\x00" * 40, "is damaged (Expecting value"),
        (b"\xff\xfe{}", "is damaged ("),
        (b"[" * 100_000, "is damaged (maximum recursion"),
        (b"[]", "a JSON list"),
        (b"{}", "it is of None, None"),
        (b'{"task": "expression", "run_id": "other"}', "it is of 'expression', 'other'"),
        (b'{"task": "expression", "run_id": "expression-1"}', "folds: field required"),
    ],
)
def test_a_damaged_or_foreign_note_is_told_and_nothing_is_computed(
    folder: TableFolder, tmp_path: Path, content: bytes, found: str
) -> None:
    make_note(folder)
    (tmp_path / folder.folder / "run.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.json is .*delete") as error:
        run_once(folder, lambda event: None, lambda: pytest.fail("not to be computed"))
    assert found in str(error.value)


def test_a_record_that_lacks_what_words_need_is_damaged(
    folder: TableFolder, tmp_path: Path
) -> None:
    make_note(folder)
    path = tmp_path / folder.folder / "run.json"
    content = strip_marks(json.loads(path.read_text())) | {"pairs": [{"encoder_a": "a"}]}
    path.write_bytes(seal_json(content))
    with pytest.raises(StoreError, match=r"pairs\.0\.encoder_b: field required"):
        run_once(folder, lambda event: None, lambda: pytest.fail("done"))


def test_a_process_killed_while_it_wrote_tables_is_made_good_by_the_same_command(
    folder: TableFolder,
) -> None:
    """Tables come before the note, pieces go after it: the next one goes on from the pieces."""

    class KilledError(BaseException):
        """Stands for kill -9: nothing is tidied up."""

    def work(killed: bool) -> PatientRecord:
        add_piece(folder)
        folder.write("scores", [TABLE], TABLE.schema)
        if killed:
            raise KilledError
        assert "pieces" in folder.names()
        return make_note(folder)

    with pytest.raises(KilledError):
        run_once(folder, lambda event: None, lambda: work(killed=True))
    assert folder.names() == ["pieces", "scores.parquet"]
    run_once(folder, lambda event: None, lambda: work(killed=False))
    assert folder.names() == ["run.json", "scores.parquet"]
