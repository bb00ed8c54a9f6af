"""Python that Markdown pages show: whether it parses, and names what the package has."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import histo_ray as hr
from histo_ray.api.feature_store import FeatureStore
from histo_ray.config import ExtractConfig, Settings
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.view.view_settings import ViewConfig

_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_STORE = re.compile(r"^hr\.open_store\([^()]*\)\.")
_DOTTED = re.compile(r"[a-z_]+(\.[a-z_]+)+")
_INLINE = re.compile(r"`(hr\.[a-z_]+(?:\.[a-z_]+)*\([^`\n]*\))`")


def read_python(page: Path) -> list[str]:
    """Read the blocks of Python of a page, and the calls of `hr.` in its sentences."""
    text = page.read_text(encoding="utf-8")
    blocks = [code for _, language, code in _BLOCK.findall(text) if language == "python"]
    return [*blocks, *(call for call in _INLINE.findall(_BLOCK.sub("", text)))]


def find_python_problems(code: str) -> list[str]:
    """Find names under `hr.`, and keywords of calls of them, that there are not; or a syntax error.

    Methods of what is called `store` are looked up as those of `hr.open_store`.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return [f"no Python: {error.msg}"]
    return [
        problem
        for node in ast.walk(tree)
        for problem in (_check_name(node) if isinstance(node, ast.Attribute) else _check_call(node))
    ]


def _check_name(node: ast.Attribute) -> Iterator[str]:
    name = ast.unparse(node)
    if _DOTTED.fullmatch(name) and name.startswith(("hr.", "store.")) and _find(name) is None:
        yield f"there is no {name}"


def _check_call(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _STORE.sub("store.", ast.unparse(node.func))
    called = _find(name) if name.startswith(("hr.", "store.")) else None
    if called is None or not callable(called):
        return
    given = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
    known = _list_keywords(name, called)
    yield from (f"{name} has no {one}" for one in given if known and one not in known)


def _find(name: str) -> object | None:
    """What a dotted name of a page stands for; None: there is no such thing."""
    first, *rest = name.split(".")
    found: object | None = hr if first == "hr" else FeatureStore
    for part in rest:
        found = getattr(found, part, None)
    return found


def _list_keywords(name: str, called: object) -> frozenset[str]:
    """Keywords that a function takes; empty: whatever there are."""
    config = _settings_of().get(name.removeprefix("hr."))
    own = getattr(called, "function", called)
    parameters = inspect.signature(own).parameters if callable(own) else {}
    names = {one.name for one in parameters.values() if one.kind is not one.VAR_KEYWORD}
    takes_more = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if config is not None:
        return frozenset(names | set(config.model_fields))
    return frozenset() if takes_more else frozenset(names)


@cache
def _settings_of() -> Mapping[str, type[Settings]]:
    """Settings that a function of the Python API takes as keywords, by its name."""
    tasks = {f"evaluate.{name}": task.config for name, task in TASKS.items()}
    fits = {f"fit.{name}": fit_settings(task) for name, task in TASKS.items()}
    others: dict[str, type[Settings]] = {
        "extract": ExtractConfig, "plan": ExtractConfig, "finetune": FinetuneConfig,
        "heatmap": HeatmapConfig, "import_features": ImportConfig, "predict": PredictConfig,
        "view": ViewConfig,
    }  # fmt: skip
    return {**tasks, **fits, **others}
