"""The recipe `docs/extend/task.md`, followed to the letter."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from histo_ray.cli import main
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.registry import TASKS
from tests.evaluate.task_contract import TaskContract
from tests.evaluate.test_tasks import make_patients
from tests.extend_pages import code_blocks


class TestTaskOfThePage(TaskContract):
    """The contract of tasks, and the command line."""

    @pytest.fixture
    def task(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
        """The page's task, registered in this process."""
        module, line = code_blocks("task.md")
        assert module.splitlines()[0] == "# histo_ray/evaluate/tasks/protein.py"
        modules = tmp_path / "modules"
        modules.mkdir()
        (modules / "protein.py").write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(str(modules))
        (task,) = eval(line, {"protein": importlib.import_module("protein")})
        monkeypatch.setitem(TASKS, task.name, task)
        made: Task = task
        return made

    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, Any]:
        return make_patients(tmp_path, "expression.csv")

    def test_the_command_line_evaluates_and_reports_it(
        self,
        task: Task,
        settings: dict[str, Any],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        flags = ["--store", settings["store"], "--labels", settings["labels"], "--repeats", "2"]
        flags += ["--encoder", "dull", "--encoder", "sharp", "--address", "none", "--json"]
        assert main(["evaluate", "protein", *flags]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["task"] == "protein"
        assert record["sentences"][0].startswith("Mean correlation over 8 proteins was ")
        assert any(
            text.startswith("With dull, ")
            and "of 8 proteins were predicted better than chance" in text
            for text in record["sentences"]
        )
        page = tmp_path / "page.html"
        assert main(["report", settings["store"], "--out", str(page)]) == 0
        assert capsys.readouterr().out.startswith("protein: Mean correlation over 8 ")
        for told in (">Protein abundance<", "Proteins, best first", "8 proteins, 57 patients"):
            assert told in page.read_text(encoding="utf-8")
        with pytest.raises(SystemExit):
            main(["evaluate", "--help"])
        assert task.help[:30] in " ".join(capsys.readouterr().out.split())
        with pytest.raises(SystemExit):
            main(["evaluate", "protien"])
        assert "did you mean protein?" in capsys.readouterr().err
