"""The demo makes a folder, goes on in its own, and touches nobody else's."""

import json
from pathlib import Path

import pytest

from histo_ray.cli import main


def refusal(out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["demo", "--small", "--out", str(out), *more]) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "--out" in text]
    return line


def test_a_file_is_no_folder_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "demo").write_text("mine", encoding="utf-8")
    assert "that is a file" in refusal(tmp_path / "demo", capsys)
    assert (tmp_path / "demo").read_text(encoding="utf-8") == "mine"


def test_a_folder_with_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    assert "something else than a demo" in refusal(tmp_path, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("small", "seed"), [(1, 5), (0, 0)])
def test_a_demo_of_other_settings_keeps_its_store(
    small: int, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo.json").write_text(json.dumps({"small": small, "seed": seed}), "utf-8")
    (tmp_path / "store").mkdir()
    assert "another --small or --seed" in refusal(tmp_path, capsys)
    assert (tmp_path / "store").is_dir()
