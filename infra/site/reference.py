"""Reference pages made from the code: commands, tables, errors, the Python API. As Markdown."""

import argparse
import importlib
import inspect
import io
import json
from collections.abc import Iterator
from pathlib import Path

import histo_ray
from histo_ray import errors
from histo_ray.cli import exit_codes
from histo_ray.cli.verbs import VERBS
from histo_ray.evaluate.tasks.registry import TASKS
from infra.site.cells import escape_cell, escape_html, finish_sentence
from infra.site.error_messages import collect_messages
from infra.site.settings_reference import write_settings

ROOT = Path(__file__).resolve().parents[2]
MADE = "*Made from the code.*\n"
_SETTINGS = f"""# Settings

{MADE}
Keys of a run file (`--config run.toml`), which are flags with `-` in place of `_`, and keywords of
the Python functions. A flag takes precedence over the file.
"""


def make_reference() -> Iterator[tuple[str, str]]:
    """Yield path in the site and Markdown of every page."""
    yield "reference/commands.md", write_commands()
    yield "reference/settings.md", "\n".join([_SETTINGS, *write_settings()])
    yield "reference/tables.md", write_tables()
    yield "reference/errors.md", write_errors()
    yield "reference/python.md", write_python()


def write_commands() -> str:
    """Write every command with its flags, from the parsers of the program."""
    parts = [f"# Commands\n\n{MADE}"]
    parts.append(
        "Every flag is a key of `--config run.toml` and a keyword of the Python function, with "
        "`_` in place of `-`. Exit codes are [here](errors.md#exit-codes).\n"
    )
    for name, verb in VERBS.items():
        parser = argparse.ArgumentParser(prog=f"histo-ray {name}", add_help=False)
        importlib.import_module(verb.module).add_arguments(parser)
        parts += [f"\n## histo-ray {name}\n", f"{finish_sentence(verb.help)}\n"]
        parts += _write_parser(parser, 3)
    return "\n".join(parts)


def _write_parser(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    flags = [one for one in parser._actions if not _holds_verbs(one) and one.help != _HIDDEN]
    if flags:
        yield "| flag | what it does |\n|---|---|"
        yield from (
            f"| {_name(one)} | {escape_cell((one.help or '').replace('%%', '%'))} |"
            for one in flags
        )
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, sub in action.choices.items():
                yield f"\n{'#' * level} {sub.prog}\n"
                if name in said:
                    yield f"{finish_sentence(said[name])}\n"
                yield from _write_parser(sub, level + 1)


_HIDDEN = argparse.SUPPRESS


def _holds_verbs(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction | argparse._HelpAction)


def _describe(action: argparse.Action) -> str:
    return escape_cell((action.help or "").replace("%%", "%"))


def _name(action: argparse.Action) -> str:
    names = ", ".join(f"`{one}`" for one in action.option_strings)
    if not names:
        shown = action.metavar if isinstance(action.metavar, str) else action.dest
        return f"`{shown}`"
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return names
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    chosen = "\\|".join(map(str, action.choices)) if action.choices else value
    return f"{names} {chosen}"


def write_tables() -> str:
    """Write every table with its columns, from `schemas/*.json`."""
    parts = [f"# Tables\n\n{MADE}"]
    parts.append("Columns, types, units and meanings of every table of a store.\n")
    for path in sorted((ROOT / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"\n## {schema.get('name', path.stem)}\n")
        if "description" in schema:
            parts.append(f"{finish_sentence(schema['description'])}\n")
        parts.append("| column | type | unit | meaning |\n|---|---|---|---|")
        for field in schema.get("fields", ()):
            cells = (f"`{field['name']}`", field["type"], field["unit"], field["meaning"])
            parts.append(f"| {' | '.join(escape_cell(str(one)) for one in cells)} |")
    return "\n".join(parts)


def write_errors() -> str:
    """Write exit codes, and errors with who has to act."""
    parts = [f"# Errors and exit codes\n\n{MADE}\n## Exit codes\n"]
    parts.append("| code | name | meaning |\n|---|---|---|")
    text = inspect.getsource(exit_codes).split("\n\n", 1)[1]
    for piece in text.split("\n\n"):
        parts += _pairs(piece)
    kinds = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.HistoRayError)
    ]
    parts.append("\n## Errors\n\nOf `histo_ray.errors`; the class says who has to act.\n")
    for kind in kinds:
        bases = ", ".join(base.__name__ for base in kind.__bases__)
        parts.append(f"### {kind.__name__}\n\n*{bases}.* {inspect.cleandoc(kind.__doc__ or '')}\n")
    parts.append("\n## Messages\n\nAs they stand in the code; … is what a message fills in.\n")
    messages = collect_messages(ROOT / "histo_ray", [kind.__name__ for kind in kinds])
    for name, texts in messages.items():
        if texts:
            parts.append(f"### Messages of {name}\n")
            parts += [f"* {escape_html(text)}" for text in texts]
            parts.append("")
    return "\n".join(parts)


def _pairs(piece: str) -> Iterator[str]:
    """Rows of `NAME = 0` lines, each followed by its meaning."""
    lines = io.StringIO(piece).read().split('"""')
    for code, meaning in zip(lines[::2], lines[1::2], strict=False):
        name, _, number = code.strip().partition(" = ")
        yield f"| {number} | {name} | {' '.join(meaning.split())} |"


def write_python() -> str:
    """Write the page of the Python API for mkdocstrings: functions, then what they return."""
    parts = [f"# Python API\n\n{MADE}\n`import histo_ray as hr`; [examples](../python.md).\n"]
    for name in histo_ray.__all__:
        found = getattr(histo_ray, name)
        if name in _TASK_MODULES:
            parts += [
                _document(f"histo_ray.api.{name}.{task}", f"hr.{name}.{task}") for task in TASKS
            ]
        elif not name.startswith("__") and not inspect.isclass(found):
            home = histo_ray._HOMES.get(name, f"histo_ray.api.{name}")
            parts.append(_document(f"{home}.{name}", f"hr.{name}"))
    parts.append("\n## What they return\n")
    parts += [_document(path, path.rpartition(".")[2], level=3) for path in _RETURNED]
    return "\n".join(parts)


def _document(path: str, heading: str, level: int = 2) -> str:
    options = f"heading: {heading}\n      toc_label: {heading}\n      heading_level: {level}"
    return f"::: {path}\n    options:\n      {options}\n"


_TASK_MODULES = ("evaluate", "fit")
"""Modules whose functions are tasks."""
_RETURNED = (
    "histo_ray.api.feature_store.FeatureStore",
    "histo_ray.api.extract.ExtractionResult",
    "histo_ray.api.plan.ExtractionPlan",
    "histo_ray.api.evaluation_result.EvaluationResult",
    "histo_ray.api.predictor.Predictor",
    "histo_ray.predict.external.prediction_result.PredictionResult",
    "histo_ray.api.import_features.ImportResult",
    "histo_ray.slides.reader.OpenedSlide",
)
"""Classes whose objects the functions return."""
