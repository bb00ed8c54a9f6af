"""Which networks timm has, read from its source files: importing timm would take seconds."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_ENTRY = re.compile(r"^@register_model\s*\ndef\s+(\w+)\(", re.MULTILINE)


@cache
def list_timm_names() -> frozenset[str]:
    """All of timm's architecture names, without their weight tags."""
    package = find_spec("timm")
    if package is None or not package.submodule_search_locations:
        return frozenset()
    models = Path(package.submodule_search_locations[0]) / "models"
    names: set[str] = set()
    for file in models.glob("*.py"):
        names.update(_ENTRY.findall(file.read_text(encoding="utf-8")))
    return frozenset(names)


def has_timm_name(name: str) -> bool:
    """Whether timm has the architecture of `name`, which may carry a tag: `resnet50.a1_in1k`."""
    return name.partition(".")[0] in list_timm_names()
