"""Arrow columns from Python and numpy values, without pandas.

`pa.array` imports pandas to ask whether it was given a series, which takes a quarter of a second
that a small run waits for. Here columns are made of their buffers, which asks nobody.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Value = str | int | float | bool | None
Numbers = npt.NDArray[Any]


def number_column(values: Numbers) -> pa.Array:
    """Make a column of an array.

    Args:
        values: (N,) numbers or booleans; an array that is contiguous is not copied.

    Returns:
        N values of the array's type, none of them null.
    """
    if values.dtype == np.bool_:
        return _column(pa.bool_(), len(values), None, np.packbits(values, bitorder="little"))
    whole = np.ascontiguousarray(values)
    return _column(pa.from_numpy_dtype(whole.dtype), len(whole), None, whole)


def value_column(values: Sequence[Value], kind: pa.DataType) -> pa.Array:
    """Make a column of plain values.

    Args:
        values: N texts, numbers or booleans; None is null.
        kind: Type of the column: `string`, `bool` or a number.

    Raises:
        TypeError: Another type than these.
        OverflowError, ValueError: A value is none of that type.
    """
    valid = np.array([value is not None for value in values], np.bool_)
    mask = None if valid.all() else np.packbits(valid, bitorder="little")
    if pa.types.is_string(kind):
        texts = [b"" if value is None else str(value).encode() for value in values]
        offsets = np.fromiter(accumulate(map(len, texts), initial=0), np.int64, len(texts) + 1)
        if offsets[-1] > np.iinfo(np.int32).max:
            raise OverflowError("more than 2 GiB of text in one column")
        return _column(kind, len(texts), mask, offsets.astype(np.int32), b"".join(texts))
    if pa.types.is_boolean(kind):
        bits = np.array([bool(value) for value in values], np.bool_)
        return _column(kind, len(bits), mask, np.packbits(bits, bitorder="little"))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"a column of type {kind} is not made of plain values here")
    numbers = np.array([0 if value is None else value for value in values], kind.to_pandas_dtype())
    return _column(kind, len(numbers), mask, numbers)


def repeated_text(text: str, count: int) -> pa.Array:
    """Make a column that holds one text `count` times."""
    data = text.encode()
    offsets = (np.arange(count + 1, dtype=np.int64) * len(data)).astype(np.int32)
    return _column(pa.string(), count, None, offsets, data * count)


def _column(
    kind: pa.DataType, length: int, mask: Numbers | None, *buffers: Numbers | bytes
) -> pa.Array:
    held = [pa.py_buffer(buffer) for buffer in buffers]
    validity = None if mask is None else pa.py_buffer(mask)
    return pa.Array.from_buffers(kind, length, [validity, *held])
