"""Figures of the code's structure, for comparing two states of the package.

`python -m benchmarks.structure [FOLDER ...] [--json]`, where a folder holds `histo_ray/`; several
folders stand side by side in one table.
"""

import argparse
import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PACKAGE = "histo_ray"
LONG_FUNCTION = 50
LARGE_FILE = 350
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """One parsed file of the package."""

    name: str
    """Dotted, below the package."""
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def room(self) -> str:
        """Name of its folder; empty at the top of the package."""
        head, dot, _ = self.name.partition(".")
        return head if dot or self.is_package else ""

    @property
    def lines(self) -> int:
        """Lines of the file."""
        return len(self.text.splitlines())


def read_modules(folder: Path) -> list[Module]:
    """Parse every file of the package below `folder`."""
    modules = []
    for path in sorted((folder / PACKAGE).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(folder / PACKAGE).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(Module(name, text, ast.parse(text), is_package))
    return modules


def measure_structure(modules: Sequence[Module]) -> dict[str, int]:
    """Count what the house is measured by; names are those of the printed table."""
    cluster = [m for m in modules if m.room == "cluster" and not m.is_package]
    functions = [node for m in modules for node in ast.walk(m.tree) if isinstance(node, Function)]
    classes = Counter(name for m in modules for name in class_names(m.tree))
    stems = Counter(m.name.rpartition(".")[2] for m in modules if not m.is_package)
    outside = [m for m in modules if not m.name.startswith("evaluate.tasks")]
    return {
        "files": len(modules),
        "lines": sum(m.lines for m in modules),
        "largest file, lines": max(m.lines for m in modules),
        f"files of {LARGE_FILE} lines and more": sum(m.lines >= LARGE_FILE for m in modules),
        "files in cluster/": len(cluster),
        "lines in cluster/": sum(m.lines for m in cluster),
        "files in cluster/ without Ray": sum(not imports_package(m.tree, "ray") for m in cluster),
        f"functions over {LONG_FUNCTION} lines": sum(length(f) > LONG_FUNCTION for f in functions),
        "dict[str, Any]": sum(m.text.count("dict[str, Any]") for m in modules),
        "local imports": sum(count_local_imports(m.tree) for m in modules),
        "class names used more than once": sum(count > 1 for count in classes.values()),
        "module names used in several rooms": sum(count > 1 for count in stems.values()),
        "import circles": count_circles(modules),
        "branches on a task's name outside evaluate/tasks/": sum(
            count_task_branches(m.tree) for m in outside
        ),
        'docstrings that begin with "Of"': sum(
            text.startswith("Of ") for m in modules for text in docstrings(m.tree)
        ),
        'lines with "judg"': count_lines(modules, r"judg"),
        'lines with "wanted"': count_lines(modules, r"\bwanted"),
    }


def class_names(tree: ast.Module) -> Iterator[str]:
    """Public and private classes at the top of a module."""
    return (node.name for node in tree.body if isinstance(node, ast.ClassDef))


def length(function: Function) -> int:
    """Lines of a function, its docstring left out."""
    first = function.body[0]
    is_documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    text = (first.end_lineno or 0) - first.lineno + 1 if is_documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text


def imports_package(tree: ast.Module, package: str) -> bool:
    """Whether a module imports a package, at its top or in a function."""
    names = (name for node in ast.walk(tree) for name in imported_names(node))
    return any(name.split(".")[0] == package for name in names)


def imported_names(node: ast.AST) -> list[str]:
    """Dotted names that an import statement may load; empty for other statements."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def count_local_imports(tree: ast.Module) -> int:
    """Count import statements inside functions."""
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return len(inner)


def count_circles(modules: Sequence[Module]) -> int:
    """Count groups of modules that import one another; imports for types alone count too."""
    number = {m.name: at for at, m in enumerate(modules)}
    pairs = {
        (number[m.name], number[target])
        for m in modules
        for node in ast.walk(m.tree)
        for name in imported_names(node)
        if (target := name.removeprefix(f"{PACKAGE}.")) in number and target != m.name
    }
    rows, columns = np.array(sorted(pairs)).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(modules),) * 2)
    _, labels = connected_components(graph, connection="strong")
    return int((np.bincount(labels) > 1).sum())


def count_task_branches(tree: ast.Module) -> int:
    """Count comparisons of something called task with a text."""
    found = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            texts = [s for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)]
            names = [ast.unparse(side) for side in sides]
            found += bool(texts) and any(re.search(r"\btask\b|task_of", name) for name in names)
    return found


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings of modules, classes and functions, and those that stand below a field."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, Documented) and isinstance(body, list):
            for statement in body:
                is_text = isinstance(statement, ast.Expr) and isinstance(
                    statement.value, ast.Constant
                )
                if is_text and isinstance(statement.value.value, str):
                    yield statement.value.value


def count_lines(modules: Sequence[Module], pattern: str) -> int:
    """Count lines in which a pattern occurs."""
    return sum(bool(re.search(pattern, line)) for m in modules for line in m.text.splitlines())


def measure_rooms(modules: Sequence[Module]) -> dict[str, tuple[int, int]]:
    """Count (files, lines) of each room."""
    rooms: dict[str, tuple[int, int]] = {}
    for m in modules:
        files, lines = rooms.get(m.room, (0, 0))
        rooms[m.room] = files + 1, lines + m.lines
    return rooms


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; always 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", default=[Path()])
    parser.add_argument("--json", action="store_true", help="print one JSON object a folder")
    args = parser.parse_args(argv)
    packages = [read_modules(folder) for folder in args.folders]
    figures = [measure_structure(modules) for modules in packages]
    rooms = [measure_rooms(modules) for modules in packages]
    if args.json:
        for folder, found, by_room in zip(args.folders, figures, rooms, strict=True):
            print(json.dumps({"folder": str(folder), **found, "rooms": by_room}))
        return 0
    for name in figures[0]:
        print(f"{name:<52}" + "".join(f"{found[name]:>10,}" for found in figures))
    print("\nroom (files, lines)")
    for room in sorted({room for by_room in rooms for room in by_room}):
        cells = [by_room.get(room, (0, 0)) for by_room in rooms]
        print(f"{room or '(top)':<42}" + "".join(f"{f:>10} {n:>9,}" for f, n in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
