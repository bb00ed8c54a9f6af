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
from histo_ray.cli.quiet_flag import add_quiet
from histo_ray.cli.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]
MADE = "Made from the code; not to be edited.\n"


def make_reference() -> Iterator[tuple[str, str]]:
    """Yield path in the site and Markdown of every page."""
    yield "reference/commands.md", write_commands()
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
        add_quiet(parser)
        parts += [f"\n## histo-ray {name}\n", f"{_sentence(verb.help)}\n"]
        parts += _write_parser(parser, 3)
    return "\n".join(parts)


def _write_parser(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    flags = [one for one in parser._actions if not _holds_verbs(one) and one.help != _HIDDEN]
    if flags:
        yield "| flag | what it does |\n|---|---|"
        yield from (f"| {_name(one)} | {_cell(one.help or '')} |" for one in flags)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, sub in action.choices.items():
                yield f"\n{'#' * level} {sub.prog}\n"
                if name in said:
                    yield f"{_sentence(said[name])}\n"
                yield from _write_parser(sub, level + 1)


_HIDDEN = argparse.SUPPRESS


def _holds_verbs(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction | argparse._HelpAction)


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


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{_cell(text)[:1].upper()}{_cell(text)[1:]}."


def write_tables() -> str:
    """Write every table with its columns, from `schemas/*.json`."""
    parts = [f"# Tables\n\n{MADE}"]
    parts.append("Columns, types, units and meanings of every table of a store.\n")
    for path in sorted((ROOT / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"\n## {schema.get('name', path.stem)}\n")
        if "description" in schema:
            parts.append(f"{_sentence(schema['description'])}\n")
        parts.append("| column | type | unit | meaning |\n|---|---|---|---|")
        for field in schema.get("fields", ()):
            cells = (f"`{field['name']}`", field["type"], field["unit"], field["meaning"])
            parts.append(f"| {' | '.join(_cell(str(one)) for one in cells)} |")
    return "\n".join(parts)


def write_errors() -> str:
    """Write exit codes, and errors with who has to act."""
    parts = [f"# Errors and exit codes\n\n{MADE}\n## Exit codes\n"]
    parts.append("| code | name | meaning |\n|---|---|---|")
    text = inspect.getsource(exit_codes).split("\n\n", 1)[1]
    for piece in text.split("\n\n"):
        parts += _pairs(piece)
    parts.append("\n## Errors\n\nOf `histo_ray`, and of `histo_ray.errors`.\n")
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.HistoRayError):
            bases = ", ".join(base.__name__ for base in kind.__bases__)
            said = inspect.cleandoc(kind.__doc__ or "")
            parts.append(f"### {name}\n\n*{bases}.* {said}\n")
    return "\n".join(parts)


def _pairs(piece: str) -> Iterator[str]:
    """Rows of `NAME = 0` lines, each followed by its meaning."""
    lines = io.StringIO(piece).read().split('"""')
    for code, meaning in zip(lines[::2], lines[1::2], strict=False):
        name, _, number = code.strip().partition(" = ")
        yield f"| {number} | {name} | {' '.join(meaning.split())} |"


def write_python() -> str:
    """Write the pages of the Python API for mkdocstrings, in the order of `histo_ray.__all__`."""
    parts = [f"# Python API\n\n{MADE}\n[Examples](../python.md).\n"]
    modules: dict[str, list[str]] = {}
    for name in histo_ray.__all__:
        found = getattr(histo_ray, name)
        if name.startswith("__") or (inspect.isclass(found) and issubclass(found, Exception)):
            continue
        modules.setdefault(_home(name), []).append(name)
    for module, names in modules.items():
        parts += [
            f"## hr.{name}\n\n::: {module}{'' if name in _ROOMS else '.' + name}\n"
            for name in names
        ]
    return "\n".join(parts)


_ROOMS = ("evaluate", "fit")
"""Modules whose functions are tasks."""


def _home(name: str) -> str:
    if name in _ROOMS:
        return f"histo_ray.api.{name}"
    return histo_ray._HOMES.get(name, f"histo_ray.api.{name}")
