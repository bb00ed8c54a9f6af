"""Modules of the package that are named as text, to be imported later, exist."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import histo_ray

PACKAGE = Path(histo_ray.__file__).parent
NAMED = re.compile(r"histo_ray(\.\w+)+")
LOGGERS = {"histo_ray.slides"}
GROUPS = {"histo_ray.segmenters", "histo_ray.slide_encoders"}
"""Groups of entry points that are no modules."""


def named_modules() -> list[str]:
    """Every text of the package that has the form of one of its modules' names."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                module = node.value.partition(":")[0]
                if NAMED.fullmatch(module):
                    found.add(module)
    return sorted(found - LOGGERS - GROUPS)


@pytest.mark.parametrize("module", named_modules())
def test_a_module_named_as_text_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None
