"""Cells of a table as numbers; what cannot be one is told. Pure."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MISSING = (
    *("", "NA", "N/A", "NaN", "nan", "NAN", "na", "n/a", "null", "NULL", "None", "none", "."),
    *("[Not Available]", "[Not Applicable]", "[Unknown]"),  # TCGA's clinical tables
    *("NP", "NS"),  # cBioPortal: not profiled, not sequenced
)
"""Cells that hold no value."""
STATES = {"wt": 0.0, "false": 0.0, "mut": 1.0, "true": 1.0}
"""Words for the two states of a gene, in small letters."""


def parse_numbers(column: pa.Array) -> tuple[Values, Flags]:
    """Cells as numbers.

    Args:
        column: (N,) numbers or text.

    Returns:
        (N,) numbers, nan where missing; (N,) which cells hold something that is no number.
    """
    return _parse(column, {})


def parse_states(column: pa.Array) -> tuple[Values, Flags]:
    """Cells as 0 (wild type) or 1 (mutated).

    Args:
        column: (N,) 0 or 1, or true, false, WT, MUT in any case.

    Returns:
        (N,) 0, 1 or nan where missing; (N,) which cells hold anything else.
    """
    values, bad = _parse(column, STATES)
    bad |= ~np.isnan(values) & (values != 0) & (values != 1)
    return np.where(bad, np.nan, values), bad


def _parse(column: pa.Array, words: dict[str, float]) -> tuple[Values, Flags]:
    bad = np.zeros(len(column), bool)
    try:
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return np.array(numbers, np.float64), bad
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # not all of them are
        values = np.full(len(column), np.nan)
    for at, cell in enumerate(column.to_pylist()):
        text = "" if cell is None else str(cell).strip()
        if text in MISSING:
            continue
        try:
            values[at] = words[text.lower()] if text.lower() in words else float(text)
        except ValueError:
            bad[at] = True
    return values, bad
