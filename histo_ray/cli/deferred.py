"""Imports that wait until a command needs them."""

import importlib
from collections.abc import Callable
from typing import Any


def deferred(entry_point: str) -> Callable[..., Any]:
    """Name a function whose module is imported at the first call, not before.

    Modules of verbs stay light by this: they hold the flags, and name the function that works in
    another module, whose own imports (pandas, torch, Ray) stand at its top.

    Args:
        entry_point: `package.module:function`.

    Returns:
        A function that imports the module and passes on its arguments.
    """
    module, _, name = entry_point.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    call.__name__ = name
    return call
