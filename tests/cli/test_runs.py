"""`histo-ray runs`, and the log of slides."""

import json
import logging
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.cli.slide_log import log_slides
from histo_ray.config import ExtractConfig
from histo_ray.extract.observer import Observer, describe_slide, slide_log
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow

OLD, NEW = "20260101T080000-aaaaaa", "20260202T090000-bbbbbb"
ROWS = [
    RunRow("S1", "e", Outcome.DONE, "", 90, 1.5),
    RunRow("S1", "f", Outcome.FAILED, "encoder f: not finite", 0, 1.5),
    RunRow("S2", "e", Outcome.EMPTY, "no tissue", 0, 0.5),
    RunRow("S2", "f", Outcome.EMPTY, "no tissue", 0, 0.5),
]
RECORD = RunRecord(
    run_id=NEW,
    state=ExtractionState.FINISHED,
    began_at="2026-02-02T09:00:00+00:00",
    encoders=("e", "f"),
    outcomes={"done": 1, "empty": 2, "failed": 1},
    slides=2,
    seconds=61.5,
    startup_s=11.4,
    work_s=50.1,
    tiles_per_s=12.25,
    reader_busy=0.99,
    encoder_busy=0.2,
    bottleneck="reader-bound",
    hint="readers busy 99%, encoders 20%: more of them",
    settings={"store": "here"},
    settings_sha256="0123456789abcdef",
    versions={"ray": "2"},
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    store = open_store("store", create=True)
    store.write_run(OLD, ROWS[:1])
    store.write_run(NEW, ROWS, RECORD)
    return "store"


def test_runs_are_listed_with_what_to_change(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", place]) == 0
    heading, first, hint, second, _ = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["run", "began"]
    assert first.split("  ")[0] == NEW
    for part in ("2026-02-02 09:00:00", "62 s", "finished", "1 done, 2 empty, 1 failed", "12.2"):
        assert part in first
    assert hint == f"    e, f: {RECORD.hint}"
    assert second.startswith(OLD)
    assert "unknown" in second
    assert main(["runs", place, "--last", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "... and 1 older (--last 2)"
    assert main(["runs", place, "--last", "0"]) == 2


def test_one_run_is_shown_with_the_slides_that_it_lost(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", place, NEW[:8]]) == 0
    told = capsys.readouterr().out
    for line in (
        f"run         {NEW} (finished)",
        "took        62 s, 11 s of it to start",
        "bottleneck  reader-bound: readers busy 99%, encoders 20%: more of them",
        'settings    store = "here"; of all: sha256 0123456789ab',
        "  failed S1 [f]: encoder f: not finite",
        "  empty  S2 [e]: no tissue",
    ):
        assert line in told.splitlines(), line
    assert main(["runs", place, "2025"]) == 2


def test_a_script_gets_all_of_it_as_json(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", place, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["run_id"] for run in listed["runs"]] == [NEW, OLD]
    assert main(["runs", place, NEW, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert RunRecord(**shown) == RECORD
    assert [row["slide_id"] for row in shown["rows"]] == ["S1", "S1", "S2", "S2"]


def test_a_run_that_cannot_be_read_is_told_with_exit_code_1(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{place}/runs/{OLD}.parquet").write_bytes(b"torn")
    assert main(["runs", place]) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith(f"runs/{OLD}.parquet: cannot be read")
    assert main(["runs", place, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 1


def test_a_store_without_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(str(tmp_path / "new"), create=True)
    assert main(["runs", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == "no run is recorded in the store\n"


def test_the_line_of_a_slide_names_the_worst_of_its_outcomes() -> None:
    assert describe_slide(ROWS[:2]) == {
        "slide_id": "S1",
        "outcome": "failed",
        "reason": "encoder f: not finite",
        "n_tiles": 90,
        "seconds": 1.5,
        "encoders": {"e": "done", "f": "failed"},
    }


def test_a_log_gets_a_line_of_json_a_slide_and_one_of_the_run(tmp_path: Path) -> None:
    config = ExtractConfig(manifest="m.csv", store="s", encoder=("e",))
    log = tmp_path / "log.jsonl"
    for run_id in ("r1", "r2"):  # a second run is appended
        observer = Observer(run_id, config, ["e"], 0.0)
        with log_slides(str(log)):
            observer.note(ROWS[:2], restarts=1)
            observer.note(ROWS[2:])
            observer.close(observer.record(ROWS, ExtractionState.FINISHED))
        observer.note(ROWS[2:])  # nobody listens any more
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(line["run_id"], line["event"], line.get("slide_id")) for line in lines] == [
        (run_id, *what)
        for run_id in ("r1", "r2")
        for what in (("slide", "S1"), ("slide", "S2"), ("run", None))
    ]
    assert lines[0]["restarts"] == 1
    assert lines[2]["outcomes"] == {"done": 1, "failed": 1, "empty": 2}
    assert lines[2]["settings"]["manifest"] == "m.csv"
    assert not slide_log.handlers
    assert not slide_log.isEnabledFor(logging.INFO)


def test_lines_may_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    config = ExtractConfig(manifest="m.csv", store="s", encoder=("e",))
    with log_slides("-"):
        Observer("r1", config, ["e"], 0.0).note(ROWS[:2])
    printed = capsys.readouterr()
    assert json.loads(printed.err)["slide_id"] == "S1"
    assert printed.out == ""
