"""Parse cells of a label table, and flag those that cannot be parsed. Pure."""

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MISSING = (
    *("", "NA", "N/A", "NaN", "nan", "NAN", "na", "n/a", "null", "NULL", "None", "none", "."),
    *("[Not Available]", "[Not Applicable]", "[Unknown]"),  # TCGA's clinical tables
    *("NP", "NS"),  # cBioPortal: not profiled, not sequenced
)
"""Cells that hold no value."""
_COMMA = r"^\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?\s*$"
"""1,5"""
_EUROPEAN = r"^\s*[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+\s*$"
"""1.234,5"""
_EITHER = r"^\s*[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+\s*$"
"""1,234: a decimal comma or a separator of thousands."""
_NUMERAL = re.compile(r"[<>~=≤≥ ]*[-−+]?[0-9][0-9'’  ]*([.,][0-9'’  ]*)*(e[-+]?[0-9]+)? *%?", re.I)
_NUMBERED = re.compile(r"([01])\s*:.*")
"""1:DECEASED, as cBioPortal writes it."""
STATES = {"wt": 0.0, "false": 0.0, "mut": 1.0, "true": 1.0}
"""Words for the two states of a gene, in small letters."""


def parse_numbers(column: pa.Array, semicolons: bool = False) -> tuple[Values, Flags]:
    """Parse cells as numbers.

    A decimal comma is read where it can be nothing else: where semicolons separate the columns, or
    where a cell of the column has another number of digits than three behind it. A column with
    decimal commas and decimal points, and one of nothing but cells like 1,234, are not read.

    Args:
        column: (N,) numbers or text.
        semicolons: Whether semicolons separate the columns of the file.

    Returns:
        (N,) numbers, nan where missing; (N,) which cells hold something that is no number.
    """
    return _parse(column, {}, semicolons)


def parse_states(column: pa.Array, semicolons: bool = False) -> tuple[Values, Flags]:
    """Parse cells as 0 (wild type) or 1 (mutated).

    Args:
        column: (N,) 0 or 1, or true, false, WT, MUT in any case.
        semicolons: Whether semicolons separate the columns of the file.

    Returns:
        (N,) 0, 1 or nan where missing; (N,) which cells hold anything else.
    """
    values, bad = _parse(column, STATES, semicolons)
    bad |= ~np.isnan(values) & (values != 0) & (values != 1)
    return np.where(bad, np.nan, values), bad


def is_numeral(cell: str) -> bool:
    """Whether a cell that is no number was meant as one: `1,234`, `< 0.5`, `12 %`; no dates."""
    return _NUMERAL.fullmatch(cell.strip()) is not None and cell.count(".") < 2


def parse_numbered(cell: str) -> int | None:
    """Parse a cell that numbers its word, as cBioPortal does: 1 of `1:DECEASED`; None: another."""
    found = _NUMBERED.fullmatch(cell.strip())
    return None if found is None else int(found[1])


def has_comma(cell: str) -> bool:
    """Whether a cell is a number but for its comma."""
    return any(re.match(form, cell) for form in (_COMMA, _EUROPEAN, _EITHER))


def _parse(column: pa.Array, words: dict[str, float], semicolons: bool) -> tuple[Values, Flags]:
    bad = np.zeros(len(column), bool)
    try:
        return _cast(column), bad
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # not all of them are
        pass
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column, bad = _read_commas(column, semicolons)
        try:
            return np.where(bad, np.nan, _cast(column)), bad
        except pa.ArrowInvalid:
            pass
    values = np.full(len(column), np.nan)
    for at, cell in enumerate(column.to_pylist()):
        text = "" if cell is None else str(cell).strip()
        if text in MISSING or bad[at]:
            continue
        try:
            values[at] = words[text.lower()] if text.lower() in words else float(text)
        except ValueError:
            bad[at] = True
    return values, bad


def _cast(column: pa.Array) -> Values:
    return np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _read_commas(column: pa.Array, semicolons: bool) -> tuple[pa.Array, Flags]:
    """Replace decimal commas by points; and flag cells whose point is then no decimal one."""

    def fits(pattern: str) -> Flags:
        found = pc.fill_null(pc.match_substring_regex(column, pattern), False)
        return np.asarray(found.to_numpy(zero_copy_only=False), bool)

    commas, thousands = fits(_COMMA), fits(_EUROPEAN)
    none = np.zeros(len(column), bool)
    if not (commas | thousands).any():
        return column, none
    if not (semicolons or thousands.any() or (commas & ~fits(_EITHER)).any()):
        return column, none
    points = fits(r"^\s*[+-]?[0-9]*\.[0-9]+\s*$") & ~thousands
    plain = pc.replace_substring(column, ".", "")
    plain = pc.if_else(pa.array(thousands), plain, column)
    plain = pc.if_else(pa.array(commas | thousands), pc.replace_substring(plain, ",", "."), plain)
    return plain, points
