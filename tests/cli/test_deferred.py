"""Functions that are named by text are there, and verbs stay light."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import histo_ray
from histo_ray.cli.verbs import VERBS
from histo_ray.deferred import deferred

PACKAGE = Path(histo_ray.__file__).parent
HEAVY = {"torch", "ray", "pandas", "cv2", "duckdb", "pyarrow", "matplotlib"}


def entry_points() -> list[str]:
    """Every text that is given to `deferred` in the package."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "deferred":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}: a text, as this test reads it"
                found.append(str(argument.value))
    return sorted(set(found))


@pytest.mark.parametrize("entry_point", entry_points())
def test_a_deferred_function_is_there(entry_point: str) -> None:
    module, _, name = entry_point.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_a_module_is_imported_at_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_module.py").write_text("def add(a, *, b): return a + b\n")
    monkeypatch.syspath_prepend(tmp_path)
    add = deferred("late_module:add")
    assert "late_module" not in sys.modules
    assert add(1, b=2) == 3
    sys.modules.pop("late_module")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    code = (
        f"import sys; from histo_ray.cli import main\n"
        f"try: main([{verb!r}, '--help'])\nexcept SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_plan_extract_and_linear_heads_begin_their_work_without_pandas_torch_and_ray() -> None:
    code = (
        "import sys; import histo_ray.cli.plan_work, histo_ray.api.extract\n"
        "print(sorted({'pandas', 'torch', 'ray', 'duckdb', 'matplotlib'} & set(sys.modules)))\n"
        "import histo_ray.evaluate.patients.patient_run, histo_ray.api.evaluate\n"
        "print(sorted({'torch', 'ray', 'timm', 'sklearn.neighbors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
