"""What plugins state of themselves, asked and held against its form, whatever they plug into."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from histo_ray.errors import ConfigError
from histo_ray.plugins import Plugin, blame, make_from_plugin
from histo_ray.settings import Settings, say_rule
from histo_ray.text import describe_type, did_you_mean

S = TypeVar("S", bound=Settings)
_DIGEST = "a SHA-256: 64 digits of 0-9 and a-f"
_TEXT = "text that is not empty"
_FORMS = {"weights_sha256": _DIGEST, "licence": _TEXT}


def make_with_methods(plugin: Plugin, methods: Collection[str], right: str) -> object:
    """Import a plugin, call its factory, and see that what it makes has the methods.

    Args:
        plugin: The plugin.
        methods: Names of the methods that its protocol has.
        right: What would be right, for the message.

    Raises:
        ConfigError: It cannot be imported or called, or what it makes lacks a method.
    """
    made = make_from_plugin(plugin)
    lacking = [name for name in methods if not callable(getattr(made, name, None))]
    if lacking:
        raise ConfigError(
            f"{plugin.describe()}: it makes {describe_type(made)} without the method "
            f"{lacking[0]}(); {right}"
        )
    return made


def ask_spec(
    plugin: Plugin, ask: Callable[[], object], kind: type[S], forms: Mapping[str, str]
) -> S:
    """Ask a plugin what it states.

    Args:
        plugin: The plugin.
        ask: Its method `spec`.
        kind: What that must return.
        forms: What fields take, in words, where their types alone would say too little.

    Raises:
        ConfigError: `spec()` fails, or returns something else.
    """
    with blame(plugin, "spec()"):
        try:
            stated = ask()
        except ValidationError as error:
            rules = _describe_problems(error.errors(), kind, _FORMS | dict(forms))
            raise ConfigError(f"{plugin.describe()}: in its {kind.__name__} {rules}") from None
    if not isinstance(stated, kind):
        raise ConfigError(
            f"{plugin.describe()}: spec() returns {describe_type(stated)}; return a "
            f"{kind.__module__}.{kind.__name__}"
        )
    return stated


def _describe_problems(
    problems: list[ErrorDetails], kind: type[Settings], forms: Mapping[str, str]
) -> str:
    """Describe what is wrong with each field, once; one of two types has a problem for each."""
    by_field = {str(one["loc"][0]) if one["loc"] else "": one for one in reversed(problems)}
    return "; ".join(
        _describe_field(name, by_field[name], kind, forms) for name in reversed(by_field)
    )


def _describe_field(
    name: str, problem: ErrorDetails, kind: type[Settings], forms: Mapping[str, str]
) -> str:
    if not name:
        return f"it {say_rule(problem)}"
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        return f"there is no field {name}{did_you_mean(name, kind.model_fields)}"
    rule = f"must be {forms[name]}" if name in forms else say_rule(problem)
    return f"{name} {rule}{_found(problem)}"


def _found(problem: Any) -> str:
    """The value that a field of one type was given; empty where it is a part of it."""
    value = problem["input"]
    if len(problem["loc"]) > 1 or not isinstance(value, str | int | float | None):
        return ""
    return f", not {value!r}"
