"""`histo-ray evaluate TASK`; tasks and their flags are those of the registry."""

import argparse
from contextlib import ExitStack
from typing import Any

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.json_results import print_json
from histo_ray.cli.progress import CountBar, SlideProgress, say
from histo_ray.config import Settings
from histo_ray.deferred import deferred
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.extract.run_counts import Counts

_evaluate = deferred("histo_ray.api.evaluate:evaluate")
_describe_event = deferred("histo_ray.report.event_words:describe_event")
_describe_record = deferred("histo_ray.report.record_words:describe_record")
_dump_with_words = deferred("histo_ray.report.record_words:dump_with_words")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for every task."""
    commands = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task in TASKS.values():
        command = commands.add_parser(task.name, help=task.help, description=task.help)
        add_settings(command, task.config, task.unused_settings, task.refused_settings)
        command.add_argument(
            "--json", action="store_true", help="print run.json, with its sentences"
        )
        command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and say how the encoders compare."""
    task: Task = TASKS[args.task]
    config: Settings = read_settings(args, task.config)
    task.check_inputs(config)
    tell("starting")  # the imports take seconds
    with TileProgress() as progress, RepeatCounter() as repeats:
        result = _evaluate(
            task,
            config,
            tell=tell_event,
            report=repeats.report,
            report_tiles=progress.report,
            say=tell,
        )
    _print(args, result)
    return 0


class TileProgress(ExitStack):
    """Progress of bringing labelled tiles into the store, from its first report on."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: SlideProgress | None = None

    def report(self, counts: Counts) -> None:
        """Show how far it is."""
        if self._progress is None:
            self._progress = self.enter_context(SlideProgress("extract"))
        self._progress.report(counts)


class RepeatCounter(CountBar):
    """Progress of repeats; the end of each count has a line."""

    def __init__(self, verb: str = "evaluate") -> None:
        super().__init__(verb, "repeats evaluated", tells_ends=True)


def tell(text: str) -> None:
    """Write a line on stderr."""
    say("evaluate", text)


def tell_event(event: Any) -> None:
    """Write what an evaluation tells as lines on stderr."""
    for line in _describe_event(event):
        tell(line)


def _print(args: argparse.Namespace, result: Any) -> None:
    record: Any = result.record
    if args.json:
        print_json(_dump_with_words(record), indent=1)
        return
    lines: list[str] = _describe_record(record)
    for line in lines:
        print(line)
    print(f"tables: {result.store.rstrip('/')}/{result.folder}")
