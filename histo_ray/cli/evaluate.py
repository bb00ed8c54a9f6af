"""`histo-ray evaluate tissue | expression | mutation`."""

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.progress import Progress, say

if TYPE_CHECKING:
    from histo_ray.evaluate.patient_settings import ExpressionConfig, MutationConfig

LINE_EVERY_S = 15.0
"""Between lines of progress."""
OUTCOMES = {
    "expression": "which encoder predicts the expression of genes best: heads on patients' vectors",
    "mutation": "which encoder predicts mutated genes best: heads on patients' vectors or bags",
}

UNUSED = {"expression": ("sequenced", "variant_classes"), "mutation": ("transform", "clip_at")}
"""Settings that both tasks share, as keys of one `--config` too, but that one has no use for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tasks of the verb."""
    from histo_ray.evaluate.tissue_settings import TissueConfig

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    text = "which encoder tells tissues apart best: a head on embeddings of labelled tiles"
    tissue = tasks.add_parser("tissue", help=text, description=text)
    add_settings(tissue, TissueConfig)
    tissue.add_argument("--json", action="store_true", help="print run.json")
    tissue.set_defaults(run=run_tissue)
    for task, text in OUTCOMES.items():
        sub = tasks.add_parser(task, help=text, description=text)
        add_settings(sub, _outcome_config(task), without=UNUSED[task])
        sub.add_argument("--json", action="store_true", help="print run.json")
        sub.set_defaults(run=run_outcome)


def run_tissue(args: argparse.Namespace) -> int:
    """Evaluate, and say how the encoders compare."""
    from histo_ray.evaluate.tissue_settings import TissueConfig

    config = read_settings(args, TissueConfig)
    tell("starting")  # the imports take seconds
    from histo_ray.evaluate import tissue_run
    from histo_ray.report.tissue_words import describe_run

    with Progress("extract") as progress:
        found = tissue_run.run_tissue(config, progress.report, tell, Lines().report)
    _print(args, found.note, found.describe(describe_run), config.store, found.folder.folder)
    return 0


def run_outcome(args: argparse.Namespace) -> int:
    """Evaluate, and say what can be predicted and how the encoders compare."""
    kind = _outcome_config(args.task)
    config: ExpressionConfig | MutationConfig = read_settings(args, kind)
    check_inputs(config)
    tell("starting")  # the imports take seconds
    from histo_ray.evaluate import patient_run as outcome_run
    from histo_ray.report.outcome_words import describe_outcome

    found = outcome_run.run_outcome(config, tell, Lines().report)
    _print(args, found.note, found.describe(describe_outcome), config.store, found.folder.folder)
    return 0


def check_inputs(config: "ExpressionConfig | MutationConfig") -> None:
    """See that store and files are there, before imports that take longer than the mistake.

    Raises:
        HistoRayError: One of them is not.
    """
    from histo_ray.errors import ConfigError
    from histo_ray.labels.genes import BUILT_IN
    from histo_ray.storage import locate
    from histo_ray.store.store import open_store

    open_store(config.store)
    files = {
        "labels": config.labels,
        "--genes": "" if config.genes in BUILT_IN else config.genes,
        "--sequenced": config.sequenced,
        "--fold-file": config.fold_file,
    }
    for what, uri in files.items():
        if not uri:
            continue
        system, path = locate(uri)
        if system.get_file_info(path).type.name == "NotFound":
            raise ConfigError(f"{what} {uri}: there is no such file; check the path")


class Lines:
    """Progress on stderr, a line now and then and one at the end."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told = (-1, -1)

    def report(self, done: int, total: int) -> None:
        """Show how many repeats are done."""
        if (done, total) == self._told:
            return
        if done == total or time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            self._told = done, total
            tell(f"{done}/{total} repeats evaluated")


def tell(text: str) -> None:
    """A line on stderr."""
    say("evaluate", text)


def _outcome_config(task: str) -> "type[ExpressionConfig] | type[MutationConfig]":
    from histo_ray.evaluate.patient_settings import ExpressionConfig, MutationConfig

    return ExpressionConfig if task == "expression" else MutationConfig


def _print(
    args: argparse.Namespace, note: dict[str, Any], lines: Sequence[str], store: str, folder: str
) -> None:
    if args.json:
        print(json.dumps(note, indent=1))
        return
    for line in lines:
        print(line)
    print(f"tables: {store.rstrip('/')}/{folder}")
