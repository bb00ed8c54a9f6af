"""Figures of runs are kept, and what got worse between them is told."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import compare_runs, main
from benchmarks.history import describe_code, describe_processor, keep_run, read_runs

SPEED, MEMORY, COUNT = "tiles a second", "peak MiB", "tiles"


def write(folder: Path, number: int, speed: float, memory: float, **changes: Any) -> Path:
    figures = [
        {"what": SPEED, "value": speed, "goal": ">= 100", "met": True},
        {"what": MEMORY, "value": memory, "goal": "<= 900", "met": True},
        {"what": COUNT, "value": 7.0 + number, "goal": "", "met": None},
    ]
    answer = {
        "code": {"version": "1", "commit": "abc+", "time": f"2026-01-01T00:00:0{number}Z"},
        "machine": {"words": "one machine", "cores": 2},
        "quick": False,
        "benchmarks": {"reading": {"figures": figures, "detail": {}}},
    }
    return keep_run(answer | changes, folder)


def test_a_figure_that_is_worse_beyond_the_bound_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old", 0, speed=200, memory=500)
    assert old.name == "20260101T000000Z-abc.json"
    slower, larger, better = (
        write(tmp_path / name, 1, speed, memory)
        for name, speed, memory in (("a", 160, 500), ("b", 200, 600), ("c", 300, 300))
    )
    assert main([str(old), str(slower)]) == 1
    assert capsys.readouterr().out.startswith(f"WORSE  reading: {SPEED}")
    assert main([str(old), str(larger)]) == 1
    assert capsys.readouterr().out.startswith(f"WORSE  reading: {MEMORY}")
    assert main([str(old), str(larger), "--bound", "1.3"]) == 0
    assert main([str(old), str(better)]) == 0
    assert "WORSE" not in capsys.readouterr().out


def test_runs_that_spread_widen_the_bound(tmp_path: Path) -> None:
    steady, noisy, new = tmp_path / "steady", tmp_path / "noisy", tmp_path / "new"
    for number, off in enumerate((-30, 0, 30)):
        write(steady, number, 200 + off / 30, 500)
        write(noisy, number, 200 + off, 500)
    write(new, 5, 150, 500)
    (worst, *_) = compare_runs(read_runs(steady), read_runs(new), 1.15)
    assert (worst.what, worst.worse) == (f"reading: {SPEED}", True)
    assert worst.ratio == pytest.approx(200 / 150)
    changes = compare_runs(read_runs(noisy), read_runs(new), 1.15)
    assert not any(change.worse for change in changes)


@pytest.mark.parametrize(
    "changes", [{"machine": {"words": "another", "cores": 2}}, {"quick": True}]
)
def test_runs_that_do_not_compare_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    old = write(tmp_path / "old", 0, 200, 500)
    new = write(tmp_path / "new", 0, 200, 500, **changes)
    with pytest.raises(SystemExit) as refused:
        main([str(old), str(new)])
    assert refused.value.code == 2
    if "machine" in changes:
        assert main([str(old), str(new), "--any-machine"]) == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}, "benchmarks": {"a": 1}}'])
def test_a_file_of_something_else_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json: not the figures of a run"):
        read_runs(tmp_path)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no JSON file"):
        read_runs(tmp_path)


def test_code_and_machine_are_described() -> None:
    assert set(describe_code()) == {"version", "commit", "time"}
    assert "cores" in describe_processor()
