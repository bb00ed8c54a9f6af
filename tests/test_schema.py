import json
from pathlib import Path

import pyarrow as pa
import pytest

from histo_ray.schema import arrow_schema, column_names, load_definition, optional_names

FILES = sorted(Path(__file__).parent.parent.glob("schemas/*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_field_says_what_it_is(path: Path) -> None:
    definition = json.loads(path.read_text(encoding="utf-8"))
    assert definition["name"] == path.stem
    for field in definition["fields"]:
        assert field.keys() == {"name", "type", "unit", "meaning", "since"}
        assert field["meaning"]
        assert 1 <= field["since"] <= definition["version"]
    names = column_names(path.stem)
    assert len(set(names)) == len(names)
    for field in definition.get("optional_fields", []):
        assert field.keys() == {"name", "type", "unit", "meaning", "since"}
        assert field["name"] not in names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_schema_makes_an_arrow_table(path: Path) -> None:
    schema = arrow_schema(path.stem, 3)
    assert schema.names == column_names(path.stem)
    assert not any(field.nullable for field in schema)
    assert schema.empty_table().num_rows == 0


def test_a_vector_is_a_fixed_list_of_the_asked_type() -> None:
    for dtype, kind in (("float16", pa.float16()), ("float32", pa.float32())):
        field = arrow_schema("embeddings", 7, dtype).field("embedding")
        assert (field.type.list_size, field.type.value_type) == (7, kind)
        assert not field.type.value_field.nullable


def test_optional_columns_stand_before_the_vectors() -> None:
    assert optional_names("embeddings") == ("label", "group")
    usual = column_names("embeddings")
    assert column_names("embeddings", ("label",)) == [*usual[:-1], "label", usual[-1]]
    schema = arrow_schema("embeddings", 3, optional=("group", "label"))
    assert schema.names == [*usual[:-1], "label", "group", "embedding"]
    assert schema.field("label").type == pa.string()


def test_units_are_kept_in_the_file() -> None:
    assert arrow_schema("embeddings", 2).field("x").metadata[b"unit"] == b"level-0 px"


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_definition("nothing")
