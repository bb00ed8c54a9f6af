"""Reads `schemas/*.json` into Arrow schemas. Nothing else spells out a table's columns.

The files lie at the top of the repository and are carried by the wheel inside the package.
"""

import json
from functools import cache
from pathlib import Path
from typing import Literal

import pyarrow as pa

from histo_ray.types import JsonObject

VectorType = Literal["float16", "float32"]

_PACKAGE = Path(__file__).parent
_PLACES = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")  # in a wheel; in a checkout


@cache
def load_definition(name: str) -> JsonObject:
    """The schema file `name` as parsed JSON: name, version, description, fields."""
    place = next(place for place in _PLACES if place.is_dir())
    definition: JsonObject = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
    return definition


@cache
def arrow_schema(
    name: str, dim: int = 0, vectors: VectorType = "float16", optional: tuple[str, ...] = ()
) -> pa.Schema:
    """The Arrow schema of table `name`; unit and meaning are kept in each field's metadata.

    Args:
        name: `embeddings`, `runs`, `slides`, ...: the stem of a file in `schemas/`.
        dim: Length of a vector, for tables with a field of type `embedding`.
        vectors: Element type of that field.
        optional: Which of the optional fields it has.

    Returns:
        All fields required (not nullable), in the order of the file, the vectors last.
    """
    fields = []
    for entry in _entries(name, optional):
        if entry["type"] == "embedding":
            kind = pa.list_(pa.field("element", pa.type_for_alias(vectors), nullable=False), dim)
        else:
            kind = pa.type_for_alias(entry["type"])
        about = {"unit": entry["unit"], "meaning": entry["meaning"]}
        fields.append(pa.field(entry["name"], kind, nullable=False, metadata=about))
    return pa.schema(fields)


def column_names(name: str, optional: tuple[str, ...] = ()) -> list[str]:
    """The columns of table `name`, in order, with some of the optional ones."""
    return [entry["name"] for entry in _entries(name, optional)]


def first_names(name: str) -> list[str]:
    """The columns that the first version of table `name` had; older tables lack the others."""
    return [entry["name"] for entry in _entries(name, ()) if entry["since"] == 1]


def optional_names(name: str) -> tuple[str, ...]:
    """The columns that a table `name` may have."""
    return tuple(entry["name"] for entry in load_definition(name).get("optional_fields", []))


def _entries(name: str, optional: tuple[str, ...]) -> list[JsonObject]:
    definition = load_definition(name)
    fields = list(definition["fields"])
    chosen = [e for e in definition.get("optional_fields", []) if e["name"] in optional]
    at = len(fields) - 1 if chosen and fields[-1]["type"] == "embedding" else len(fields)
    return [*fields[:at], *chosen, *fields[at:]]
