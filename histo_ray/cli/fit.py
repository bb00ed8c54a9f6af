"""`histo-ray fit TASK`; tasks are those of `evaluate`, and so are their flags."""

import argparse
from typing import TYPE_CHECKING, Any

from histo_ray.cli.evaluate import RepeatCounter, TileProgress
from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.json_results import print_document
from histo_ray.cli.progress import say
from histo_ray.deferred import deferred
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.predict.fitting.trainers import find_trainer

if TYPE_CHECKING:
    from histo_ray.predict.card import PredictorCard
    from histo_ray.predict.fitting.fit import FitResult

_fit = deferred("histo_ray.api.fit:fit")
_describe_event = deferred("histo_ray.report.event_words:describe_event")
_describe_predictor = deferred("histo_ray.report.external.predictor_words:describe_predictor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for every task whose heads can be kept."""
    commands = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task in TASKS.values():
        if find_trainer(task) is None:
            continue
        help_text = f"a predictor of {task.words.title.lower()}: heads trained on all, published"
        command = commands.add_parser(task.name, help=help_text, description=help_text)
        add_settings(command, fit_settings(task), task.unused_settings, task.refused_settings)
        command.add_argument(
            "--json", action="store_true", help="print the predictor's card, predictor.json"
        )
        command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate unless that is done, fit, publish, and say what is in the store now."""
    task: Task = TASKS[args.task]
    settings = read_settings(args, fit_settings(task))
    tell("starting")  # the imports take seconds
    with TileProgress() as progress, RepeatCounter("fit") as repeats:
        result: FitResult = _fit(
            task,
            settings,
            tell=tell_event,
            report=repeats.report,
            report_tiles=progress.report,
            say=tell,
        )
    card: PredictorCard = result.predictor.card
    if args.json:
        print_document(card.model_dump_json(indent=1))
        return 0
    for line in _describe_predictor(card, f"{result.store.rstrip('/')}/predictors/{card.name}"):
        print(line)
    return 0


def tell(text: str) -> None:
    """Write a line on stderr."""
    say("fit", text)


def tell_event(event: Any) -> None:
    """Write what a fit tells as lines on stderr."""
    for line in _describe_event(event):
        tell(line)
