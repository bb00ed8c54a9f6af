"""Flags from settings: every field of a settings class is a flag and a key of `--config`."""

import argparse
import types
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from histo_ray.config import Settings, parse_settings, parse_toml
from histo_ray.errors import ConfigError

S = TypeVar("S", bound=Settings)


def add_settings(
    parser: argparse.ArgumentParser, kind: type[Settings], without: Collection[str] = ()
) -> None:
    """Add `--config` and one flag for each field of `kind`, but for those `without` a use here."""
    parser.add_argument("--config", metavar="RUN.toml", help="TOML file; its keys are these flags")
    for name, field in kind.model_fields.items():
        if name in without:
            continue
        flag = "--" + name.replace("_", "-")
        inner = next(a for a in _alternatives(field.annotation) if a is not type(None))
        text = field.description or ""
        if field.default is not None and not field.is_required() and field.default != ():
            text += f" (default: {field.default})" if field.default is not False else ""
        options: dict[str, Any] = {"dest": name, "default": None, "help": text.replace("%", "%%")}
        if inner is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(inner) is tuple:
            options |= {"action": "append", "metavar": name.upper()}
        elif get_origin(inner) is Literal:
            options |= {"choices": get_args(inner)}
        else:
            options["metavar"] = {int: "N", float: "X"}.get(inner, name.upper())
        parser.add_argument(flag, **options)


def read_settings(args: argparse.Namespace, kind: type[S]) -> S:
    """Settings from `--config` and flags; flags win.

    Raises:
        ConfigError: Unreadable file, unknown key, missing or unusable value.
    """
    values: dict[str, Any] = {}
    origin = "flags"
    if args.config:
        origin = args.config
        try:
            text = Path(args.config).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--config {args.config}: cannot be read: {error}") from None
        values = parse_toml(text, origin)
        for name in _tuples(kind):
            if isinstance(values.get(name), str):
                values[name] = (values[name],)
    given = {name: getattr(args, name, None) for name in kind.model_fields}
    values |= {name: value for name, value in given.items() if value is not None}
    return parse_settings(kind, values, origin)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _tuples(kind: type[Settings]) -> Iterable[str]:
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is tuple:
            yield name
