"""Messages of the errors, as they stand in the code."""

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_BLANK = "…"
"""Stands for what a message fills in."""
_SHORTEST = 12
"""Characters of a message's own words, below which nobody can look for it."""


def collect_messages(package: Path, names: Collection[str]) -> Mapping[str, list[str]]:
    """Collect the messages that errors are raised with.

    Args:
        package: Folder of Python files.
        names: Classes of errors.

    Returns:
        Messages by class, sorted; what a message fills in is an ellipsis. Messages that are made
        elsewhere and only passed on are not among them.
    """
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in sorted(package.rglob("*.py")):
        for name, text in _find_messages(ast.parse(path.read_text(encoding="utf-8"))):
            if name in found and len(text.replace(_BLANK, "").strip()) >= _SHORTEST:
                found[name].add(text)
    return {name: sorted(texts, key=str.lower) for name, texts in found.items()}


def _find_messages(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            name = called.id if isinstance(called, ast.Name) else ""
            for argument in node.exc.args:
                text = _read_text(argument)
                if text.strip(f"{_BLANK} "):
                    yield name, " ".join(text.split())


def _read_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _read_text(one) if isinstance(one, ast.Constant) else _BLANK for one in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_read_text(node.left) or _BLANK) + (_read_text(node.right) or _BLANK)
    return ""
