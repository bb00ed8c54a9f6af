"""What every task keeps: the contract that each member of the registry is held against."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from histo_ray.api.evaluate import evaluate
from histo_ray.evaluate.events import Event, FoundState, RunFound
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.evaluate.tasks.base import Chart, Task
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.evaluations import choose_runs
from histo_ray.report.page import summarise, write_report
from histo_ray.report.record_words import describe_record, dump_with_words
from histo_ray.store.store import open_store


class TaskContract:
    """Held by every task; a subclass gives the task, and settings with the files they name."""

    @pytest.fixture
    def task(self) -> Task:
        raise NotImplementedError

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        """Settings that make a small run, `store` among them."""
        raise NotImplementedError

    def test_its_name_can_be_a_folder_and_its_help_is_a_line(self, task: Task) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", task.name)
        assert task.help
        assert "\n" not in task.help
        assert set(task.unused_settings) <= set(task.config.model_fields)

    def test_its_settings_say_where_it_works_and_each_has_a_description(self, task: Task) -> None:
        fields = task.config.model_fields
        assert {"store", "encoder", "address", "remark", "seed"} <= set(fields)
        assert [name for name, field in fields.items() if not field.description] == []

    def test_the_words_that_its_charts_need_are_there(self, task: Task) -> None:
        words = task.words
        assert words.title
        assert words.score
        if Chart.INTERVALS in words.charts or Chart.PAIRS in words.charts:
            assert words.target
            assert words.target_in_sentence
            assert words.metric
            assert words.metric_head
            assert words.most_drawn > 0

    def test_it_evaluates_here_is_read_back_and_is_done_once(
        self, task: Task, settings: dict[str, Any], tmp_path: Path
    ) -> None:
        changes = {"address": "none", "remark": "a remark"}
        config = task.config.model_validate(settings | changes)
        events: list[Event] = []
        task.check_inputs(config)
        first = evaluate(task, config, tell=events.append).evaluation
        assert first.folder.folder.startswith(f"evaluations/{task.name}/")
        record = first.record
        assert isinstance(record, task.record)
        assert (record.task, record.remark) == (task.name, "a remark")
        assert task.record.model_validate(record.model_dump(mode="json")) == record
        assert not any(isinstance(event, RunFound) for event in events)
        again = evaluate(task, config, tell=events.append).evaluation
        assert again.record == record
        (found,) = [event for event in events if isinstance(event, RunFound)]
        assert found.state is FoundState.DONE
        self.check_words(task, str(settings["store"]), first, tmp_path)

    def check_words(self, task: Task, store: str, found: Evaluation, folder: Path) -> None:
        """The terminal, `--json` and the report describe it."""
        lines = describe_record(found.record)
        assert lines[0] == "a remark"
        content = dump_with_words(found.record)
        assert content["warnings"] == write_caveats(found.record)
        (shown,) = choose_runs(store, [found.record.run_id]).runs
        assert shown.record == found.record
        (main,) = summarise(store, [found.record.run_id])
        assert (main.task, main.sentence[-1]) == (task.name, ".")
        page = write_report(store, folder / "page.html", [found.record.run_id]).read_text()
        assert f">{task.words.title}" in page
        assert html.escape(main.sentence) in page
        assert open_store(store).verify()[1] == []
