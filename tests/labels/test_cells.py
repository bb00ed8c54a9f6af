"""Numbers are read however they are written, and what is not clear is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import is_numeral, parse_numbers, parse_states
from histo_ray.labels.expression_labels import read_expression
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import (
    LabelTable,
)

NAN = np.nan


def read(path: Path, text: str, **settings: Any) -> LabelTable:
    path.write_text(text)
    return read_expression(LabelSettings(labels=str(path), **settings))


@pytest.mark.parametrize(
    ("cells", "semicolons", "values", "bad"),
    [
        (["1,5", "-2,25", None, "3"], False, [1.5, -2.25, NAN, 3], []),
        (["1,234", "0,5"], False, [1.234, 0.5], []),
        (["1,234", "2,345"], False, [NAN, NAN], [0, 1]),
        (["1,234", "2,345"], True, [1.234, 2.345], []),
        (["1.234,5", "12,5"], False, [1234.5, 12.5], []),
        (["1,5", "2.5"], False, [1.5, NAN], [1]),
        (["1,5E-3", ",5", "NA"], False, [0.0015, 0.5, NAN], []),
        (["1,234.5"], False, [NAN], [0]),
        (["1.5", "high"], True, [1.5, NAN], [1]),
        (["1,5", "high"], False, [1.5, NAN], [1]),
    ],
)
def test_decimal_commas_are_read_where_they_can_be_nothing_else(
    cells: list[str | None], semicolons: bool, values: list[float], bad: list[int]
) -> None:
    found, flags = parse_numbers(pa.array(cells, pa.string()), semicolons)
    np.testing.assert_allclose(found, values)
    assert np.flatnonzero(flags).tolist() == bad


def test_states_with_decimal_commas_are_states() -> None:
    values, bad = parse_states(pa.array(["1,0", "0,0", "0,5"]), semicolons=True)
    np.testing.assert_array_equal(values, [1, 0, NAN])
    assert bad.tolist() == [False, False, True]


@pytest.mark.parametrize("cell", ["1,234", "< 0.5", "12 %", "1 234,5", "-3", "1'234", "2.5e3"])
def test_a_cell_that_was_meant_as_a_number_is_known(cell: str) -> None:
    assert is_numeral(cell)


@pytest.mark.parametrize("cell", ["IIA", "2001-03-01", "01.02.2001", "5q", "", "0a1b-77", "T1"])
def test_words_and_dates_are_no_numerals(cell: str) -> None:
    assert not is_numeral(cell)


def test_european_tables_give_their_numbers(tmp_path: Path) -> None:
    for text in ("patient_id;CD8A\np1;1,5\np2;2,125\n", 'patient_id,CD8A\np1,"1,5"\np2,"2,125"\n'):
        labels = read(tmp_path / "a.csv", text)
        np.testing.assert_array_equal(labels.values, [[1.5], [2.125]])


def test_commas_that_may_separate_thousands_are_refused_and_never_dropped_as_words(
    tmp_path: Path,
) -> None:
    text = 'patient_id,CD8A,CD4\np1,"1,234",1\np2,"2,345",2\n'
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "a.csv", text)
    told = str(caught.value)
    assert (
        "2 cells are not a number, or NA: column CD8A, row p1: '1,234'; column CD8A, row p2" in told
    )
    assert "write decimal points" in told


def test_all_bad_cells_come_at_once_with_their_columns_and_patients(tmp_path: Path) -> None:
    rows = "".join(f"p{k},{'x' if k < 7 else k},{'y' if k < 7 else k}\n" for k in range(9))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "a.csv", "patient_id,CD8A,CD4\n" + rows)
    told = str(caught.value)
    assert "14 cells are not a number, or NA in 2 columns: column CD8A, row p0: 'x'; " in told
    assert "column CD4, row p2: 'y'; and 4 more; correct them" in told
    long = "patient_id,gene,value\n" + "".join(f"p{k},G{k},{'z' if k else 1}\n" for k in range(4))
    with pytest.raises(ConfigError, match=r"3 cells .* G1, row p1: 'z'; .* G3, row p3: 'z'"):
        read(tmp_path / "a.csv", long)


def test_columns_in_which_the_rows_of_a_patient_differ_are_named(tmp_path: Path) -> None:
    equal = "Unnamed: 0,case_id,CD8A\n0,p1,1.5\n1,p1,1.5\n2,p2,3\n"
    labels = read(tmp_path / "a.csv", equal)
    np.testing.assert_array_equal(labels.values, [[1.5], [3]])
    wrong = "case_id,CD8A,CD4\np1,1,1\np1,1,2\np2,3,3\np2,4,4\np3,5,6\n"
    told = r"2 ids in several rows .*\(p1, p2\), in columns CD8A \(1 id\), CD4 \(2 ids\); keep one"
    with pytest.raises(ConfigError, match=told):
        read(tmp_path / "a.csv", wrong)
