"""Base of all settings, their parsing from TOML, and messages for what is wrong with them."""

import re
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.text import describe_type, did_you_mean, join_or

_check_where = deferred("histo_ray.store.tile_filter:check_where")
Where = Annotated[str | None, AfterValidator(lambda text: _check_where(text) if text else text)]
"""Condition on tiles, in canonical spelling; see `store.tile_filter`. None: all tiles."""
WHERE = (
    "condition on the tiles that are used, as in 'focus > 20 and ink < 0.05'; of tissue, focus, x, "
    "y, tile_id, and ink, fold, blur of `store measure`"
)
"""What `--where` means."""


class Settings(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _check_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse NUL characters, which no path has in it; make a local store's path absolute."""
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError("holds a NUL character")
        if info.field_name == "store" and value and "://" not in value:
            return str(Path(value).expanduser().absolute())  # processes elsewhere resolve no other
        return value


S = TypeVar("S", bound=Settings)

_RULES = {
    "greater_than_equal": "must be {ge:g} or more",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be {le:g} or less",
    "less_than": "must be less than {lt:g}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is far too large",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text, in quotes",
    "string_pattern_mismatch": "must be a name of a-z, 0-9, ., _ and - (pattern {pattern})",
    "tuple_type": "must be a list, in [ ]",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "dict_type": "must be a section of keys",
    "model_type": "must be a section of keys",
    "model_attributes_type": "must be a section of keys",
}
"""Messages for pydantic's kinds of errors; its limits are filled in."""


def parse_settings(
    kind: type[S], values: dict[str, Any], origin: str, flags: Collection[str] | None = None
) -> S:
    """Check `values` against `kind`.

    Args:
        kind: The settings to make.
        values: Keys and values as parsed from TOML or flags.
        origin: Where they came from, for messages: `flags`, or the name of a file.
        flags: Keys that were given as flags, which win over those of a file; None where settings
            have no flags.

    Raises:
        ConfigError: All problems, in one line.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        of_flags, of_file = [], []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
            if origin == "flags" or key in (flags or ()):
                of_flags.append(_describe_flag(key, problem))
            else:
                of_file.append(_describe_key(kind, key, problem, has_flags=flags is not None))
        if of_file:
            of_file[0] = f"{origin}: {of_file[0]}"
        raise ConfigError("; ".join([*of_flags, *of_file])) from None


def _describe_flag(key: str, problem: ErrorDetails) -> str:
    """Describe what is wrong with a flag; a rule on several flags names them itself."""
    if not key:
        return say_rule(problem)
    flag = "--" + key.replace("_", "-")
    if problem["type"] == "missing":
        return f"{flag} is missing; give it (--help says what it is)"
    return f"{flag} {_shown(problem['input'])}: {say_rule(problem)}"


def _describe_key(kind: type[Settings], key: str, problem: ErrorDetails, *, has_flags: bool) -> str:
    """Describe what is wrong with a key of a file."""
    if not key:
        return say_rule(problem)
    if problem["type"] == "missing":
        if not has_flags:
            return f"{key} is missing; add it"
        flag = "--" + key.replace("_", "-")
        return f"{key} is missing; add it to the file or give {flag} (--help says what it is)"
    given = problem["input"]
    if problem["type"] == "extra_forbidden":
        told = "unknown key"
        if isinstance(given, dict) and not any("." in name for name, _ in _walk(kind)):
            told = "a run file has no sections; write its keys without one"
        return f"{key}: {told}{_suggest_key(kind, key.split('.'))}"
    if isinstance(given, dict) and problem["type"] == "value_error":  # a rule on several keys
        return f"{key}: {say_rule(problem)}"
    return f"{key} = {_shown(given)}: {say_rule(problem)}"


def say_rule(problem: ErrorDetails) -> str:
    """Describe what would be right in place of a value that pydantic refused."""
    limits = problem.get("ctx", {})
    kind = problem["type"]
    if kind == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", str(limits["expected"]))
        near = did_you_mean(str(problem["input"]), names)
        return f"must be {join_or(names)}{near}"
    if kind in _RULES:
        return _RULES[kind].format(**limits)
    return problem["msg"][:1].lower() + problem["msg"][1:]


def _shown(value: Any, longest: int = 60) -> str:
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    text = (
        value if isinstance(value, str) and value.strip() and value.isprintable() else repr(value)
    )
    if not text.isprintable():  # a table, say, of several lines
        return describe_type(value)
    return text if len(text) <= longest else text[:longest] + "..."


def _suggest_key(kind: type[Settings], path: list[str]) -> str:
    """Suggest keys like the unknown one: beside it, or in a section below."""
    here = dict(_walk(kind))
    beside = [key for key in here if key.rpartition(".")[0] == ".".join(path[:-1])]
    same = [key for key in here if key.rpartition(".")[2] == path[-1]]
    if same:
        return f"; did you mean {join_or(same[:3])}?"
    return did_you_mean(".".join(path), beside)


def _walk(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """All keys of a settings class, dotted, with the class that each belongs to."""
    for name, about in kind.model_fields.items():
        yield prefix + name, kind
        inner = about.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _walk(inner, f"{prefix}{name}.")


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Parse TOML; keys may be written with - or _.

    Raises:
        ConfigError: Not TOML, or a key given twice.
    """
    text = text.removeprefix("\ufeff")  # a byte order mark, as Windows' editors write it
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        twice = _twice(re.findall(r"^[ \t]*([\w-]+)[ \t]*=", text, re.MULTILINE))
        if twice:
            raise ConfigError(f"{origin}: {twice} is given twice; keep one of them") from None
        raise ConfigError(f"{origin}: not valid TOML: {error}; correct the file") from None
    if twice := _twice([key.replace("-", "_") for key in values]):
        raise ConfigError(f"{origin}: {twice} is given twice, with - and with _; keep one of them")
    return {key.replace("-", "_"): value for key, value in values.items()}


def _twice(keys: list[str]) -> str:
    """The first key that stands there twice; empty if none does."""
    return next((key for at, key in enumerate(keys) if key in keys[:at]), "")
