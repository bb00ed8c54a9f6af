"""timm, imported without torch's compiler: everything of ours that needs timm takes it from here.

timm imports torchvision, which asks torch's compiler one question as it is imported
(`torchvision.ops.roi_align`); timm itself marks a few functions as not to be compiled. Either
loads the whole compiler, more than half of the time that an encoder takes to start, and nothing
here compiles. While timm is imported both are answered without it; afterwards everything is as
torch made it, and the compiler loads when somebody asks for it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch.compiler

COMPILER = "torch._dynamo"


@contextmanager
def _without_compiler() -> Iterator[None]:
    if COMPILER in sys.modules:  # somebody has loaded it already
        yield
        return
    name = f"{COMPILER}.utils"
    answers: Any = ModuleType(name)
    answers.is_compile_supported = lambda device_type: False
    compiler: Any = torch.compiler
    disable = compiler.disable
    sys.modules[name] = answers
    compiler.disable = _leave
    try:
        yield
    finally:
        compiler.disable = disable
        if sys.modules.get(name) is answers:
            del sys.modules[name]


def _leave(fn: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
    """In place of `torch.compiler.disable`: the function as it is."""
    return fn if fn is not None else _leave


with _without_compiler():
    import timm

__all__ = ["timm"]
