"""Reference of settings, made from their classes. As Markdown."""

import ast
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from histo_ray.config import ExtractConfig, TileSetConfig
from histo_ray.encoder_spec import EncoderSpec
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.recipe import Recipe
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from infra.site.cells import escape_cell, finish_sentence

_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def list_settings() -> Mapping[str, type[BaseModel]]:
    """List the classes of settings by the heading that they have on the page."""
    listed: dict[str, type[BaseModel]] = {
        "extract, plan": ExtractConfig,
        "labelled tiles": TileSetConfig,
        "finetune": FinetuneConfig,
        "a recipe of finetune": Recipe,
    }
    listed |= {f"evaluate {name}": task.config for name, task in TASKS.items()}
    return listed | {
        "predict": PredictConfig,
        "heatmap": HeatmapConfig,
        "a row of an encoder table": EncoderSpec,
    }


def write_settings() -> Iterator[str]:
    """Yield the parts of the page: a table for each class, and for each of its sections."""
    for heading, kind in list_settings().items():
        yield f"\n## {heading}\n\n{finish_sentence(inspect.getdoc(kind) or '')}\n"
        yield from _write_table(kind)
        for name, field in kind.model_fields.items():
            if section := _find_section(field):
                yield f"\n### [{name}]\n\n{finish_sentence(inspect.getdoc(section) or '')}\n"
                yield from _write_table(section)


def _write_table(kind: type[BaseModel]) -> Iterator[str]:
    said = read_field_docs(kind)
    plain = {name: one for name, one in kind.model_fields.items() if not _find_section(one)}
    if plain:
        yield "| key | type | default | what it is |\n|---|---|---|---|"
    for name, field in plain.items():
        meaning = field.description or said.get(name, "")
        cells = (_type(field), _default(field), "; ".join(filter(None, (meaning, _limits(field)))))
        yield f"| `{name}` | {' | '.join(escape_cell(one) for one in cells)} |"


def _find_section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if inspect.isclass(kind) and issubclass(kind, BaseModel) else None


def read_field_docs(kind: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings that stand under the fields of a class and of its bases."""
    said: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is BaseModel or not issubclass(base, BaseModel):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                said[field.target.id] = inspect.cleandoc(str(text.value.value))
    return said


def _type(field: FieldInfo) -> str:
    kinds = typing.get_args(field.annotation) or (field.annotation,)
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in kinds)
    if typing.get_origin(field.annotation) is tuple:
        return f"list of {_name(kinds[0])}"
    return " or ".join(_name(one) for one in kinds if one is not type(None))


def _name(kind: object) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "yes or no"}
    if isinstance(kind, type):
        return words.get(kind, kind.__name__)
    return str(kind).replace("typing.", "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, (), ""):
        return ""
    if isinstance(field.default, tuple):
        return ", ".join(f"`{one}`" for one in field.default)
    text = str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


def _limits(field: FieldInfo) -> str:
    found = (
        f"{word} {getattr(one, name):g}"
        for one in field.metadata
        for name, word in _LIMITS.items()
        if isinstance(getattr(one, name, None), int | float)
    )
    return ", ".join(found)
