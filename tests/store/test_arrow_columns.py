"""Columns made of buffers are those that Arrow makes of the same values."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.store.arrow_columns import number_column, repeated_text, value_column


@pytest.mark.parametrize(
    "values",
    [
        np.array([[1, -2], [3, 4], [5, 2**31 - 1]], np.int32)[:, 1],
        np.array([0.5, np.nan, -np.inf], np.float16),
        np.array([0.1, 1e300], np.float64),
        np.arange(11) % 3 == 0,
        np.empty(0, np.float32),
    ],
)
def test_a_column_of_an_array_is_what_arrow_makes_of_it(values: Any) -> None:
    made = number_column(values)
    made.validate(full=True)
    assert made.equals(pa.array(values)) or np.array_equal(
        made.to_numpy(zero_copy_only=False), values, equal_nan=True
    )
    assert made.type == pa.array(values).type


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.string(), st.text(max_size=5)),
        (pa.bool_(), st.booleans()),
        (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.float64(), st.floats(allow_nan=False)),
        (pa.float32(), st.floats(width=32, allow_nan=False)),
    ],
)
@settings(max_examples=30)
@given(data=st.data())
def test_a_column_of_values_is_what_arrow_makes_of_them(
    kind: pa.DataType, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.none() | values, max_size=20))
    made = value_column(drawn, kind)
    made.validate(full=True)
    assert made.equals(pa.array(drawn, kind))
    assert made.null_count == drawn.count(None)


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises((OverflowError, ValueError)):
        value_column([2**31], pa.int32())
    with pytest.raises(ValueError, match="x"):
        value_column(["x"], pa.float64())
    with pytest.raises(TypeError, match="timestamp"):
        value_column([1], pa.timestamp("s"))


@settings(max_examples=30)
@given(text=st.text(max_size=4), count=st.integers(0, 20))
def test_a_text_is_repeated(text: str, count: int) -> None:
    made = repeated_text(text, count)
    made.validate(full=True)
    assert made.equals(pa.array([text] * count, pa.string()))
