"""Flags from settings classes: every field is a flag and a key of `--config`."""

import argparse
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from histo_ray.config import Settings, parse_settings, parse_toml
from histo_ray.errors import ConfigError
from histo_ray.slides.registry import reader_names
from histo_ray.text import did_you_mean, join_or

S = TypeVar("S", bound=Settings)

CHOICES: Mapping[str, Callable[[], tuple[str, ...]]] = {"slide_reader": reader_names}
"""Values of fields whose names are kept in a registry, which lies above the settings."""
_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""Words for the limits of a number, by their names in pydantic."""


def add_settings(
    parser: argparse.ArgumentParser,
    kind: type[Settings],
    without: Collection[str] = (),
    hidden: Collection[str] = (),
) -> None:
    """Add `--config` and one flag for each field of `kind`.

    Args:
        parser: Of the command.
        kind: Settings of the command.
        without: Fields that are no flags of it.
        hidden: Fields whose flags the help passes over, as the command refuses them by name.
    """
    parser.add_argument("--config", metavar="RUN.toml", help="TOML file; its keys are these flags")
    for name, field in kind.model_fields.items():
        if name in without:
            continue
        flag = "--" + name.replace("_", "-")
        inner = next(a for a in _alternatives(field.annotation) if a is not type(None))
        text = field.description or ""
        text += _describe_default(() if field.is_required() else field.default, field.metadata)
        shown = argparse.SUPPRESS if name in hidden else text.replace("%", "%%")
        options: dict[str, Any] = {"dest": name, "default": None, "help": shown}
        if inner is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(inner) is tuple:
            options |= {"action": "append", "metavar": name.upper()}
        elif name in CHOICES:
            options |= {"choices": CHOICES[name]()}
        elif get_origin(inner) is Literal:
            options |= {"choices": get_args(inner)}
        else:
            options["metavar"] = {int: "N", float: "X"}.get(inner, name.upper())
        parser.add_argument(flag, **options)


def _describe_default(value: object, limits: Iterable[object]) -> str:
    """Describe default and limits for the help; nothing where there are none."""
    parts = []
    if not (value is None or value is False or value in ("", ())):
        words = [str(one) for one in value] if isinstance(value, tuple) else [str(value)]
        parts.append(f"default: {', '.join(words)}")
    bounds = [
        f"{word} {_show_number(getattr(limit, name))}"
        for limit in limits
        for name, word in _LIMITS.items()
        if hasattr(limit, name)
    ]
    if bounds:
        parts.append(", ".join(bounds))
    return f" ({'; '.join(parts)})" if parts else ""


def _show_number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def read_settings(args: argparse.Namespace, kind: type[S]) -> S:
    """Read settings from `--config` and flags; flags win.

    Raises:
        ConfigError: Unreadable file, unknown key, missing or unusable value.
    """
    values: dict[str, Any] = {}
    origin = "flags"
    if args.config is not None:
        if not args.config.strip():
            raise ConfigError("--config is empty; name a TOML file, or leave the flag out")
        origin = args.config
        values = parse_toml(_read_text(origin), origin)
        for name in _tuples(kind):
            if isinstance(values.get(name), str):
                values[name] = (values[name],)
    given = {name: getattr(args, name, None) for name in kind.model_fields}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        _check_text(kind, name, value, f"{origin}: {name}")
        _check_choice(kind, name, value, origin)
    for name, value in given.items():
        _check_text(kind, name, value, f"--{name.replace('_', '-')}")
    return parse_settings(kind, values | given, origin, given.keys())


def _read_text(path: str) -> str:
    """Read a run file's text.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # the latter for a NUL in the path, too
        if isinstance(error, UnicodeDecodeError):
            found = "it is not UTF-8 text; save it with that encoding"
        else:
            found = f"{getattr(error, 'strerror', None) or error}; check the path"
        raise ConfigError(f"--config {path}: cannot be read: {found}") from None


def _check_text(kind: type[Settings], name: str, value: Any, shown: str) -> None:
    """Refuse text that cannot be a setting: with a NUL in it, or blank where one is required.

    Raises:
        ConfigError: It is such text.
    """
    several = isinstance(value, list | tuple)
    for text in value if several else (value,):
        if not isinstance(text, str):
            continue
        if "\0" in text:
            raise ConfigError(f"{shown} {text!r}: holds a NUL character; remove it")
        about = kind.model_fields.get(name)
        if not text.strip() and about is not None and (several or about.is_required()):
            raise ConfigError(f"{shown} is empty; give it ({about.description})")


def _check_choice(kind: type[Settings], name: str, value: Any, origin: str) -> None:
    """Refuse a name in a run file that its registry does not have; argparse checks those of flags.

    Raises:
        ConfigError: It is such a name.
    """
    if name not in CHOICES or name not in kind.model_fields or not isinstance(value, str):
        return
    names = list(CHOICES[name]())
    if value not in names:
        raise ConfigError(
            f"{origin}: {name} = {value}: must be {join_or(names)}{did_you_mean(value, names)}"
        )


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _tuples(kind: type[Settings]) -> Iterable[str]:
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is tuple:
            yield name
