"""Functions whose modules are imported when they are called.

What the command line reads first must not import pandas, torch or scikit-learn.
"""

import importlib
from collections.abc import Callable
from typing import Any


def deferred(entry_point: str) -> Callable[..., Any]:
    """Name a function whose module is imported at the first call, not before.

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
