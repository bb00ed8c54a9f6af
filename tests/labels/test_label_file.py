import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.label_file import open_labels
from histo_ray.labels.name_list import read_names

ROWS = [("patient_id", "TP53", "KRAS"), ("p1", "1", "0"), ("p2", "NA", "1")]


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "mark", "before", "end"),
    [
        ("a.csv", ",", "", "\n"),
        ("a.tsv", "\t", "", "\r\n"),
        ("a.txt", "\t", "#version 2.4\n\n# more, of it\n", "\n"),
        ("a.csv", ";", "\ufeff", "\r\n"),
    ],
)
def test_text_tables_are_read_whatever_separates_them(
    tmp_path: Path, name: str, mark: str, before: str, end: str
) -> None:
    text = before + end.join(mark.join(row) for row in ROWS) + end
    for path, data in ((name, text.encode()), (name + ".gz", gzip.compress(text.encode()))):
        file = open_labels(write(tmp_path / path, data))
        assert file.columns == ROWS[0]
        assert [file.texts(at) for at in range(3)] == [["p1", "p2"], ["1", ""], ["0", "1"]]
        assert file.digest == hashlib.sha256(data).hexdigest()


def test_columns_of_one_name_stay_apart(tmp_path: Path) -> None:
    file = open_labels(write(tmp_path / "a.csv", "id,G,G\np1,1,2\n"))
    assert file.columns == ("id", "G", "G")
    assert [file.texts(at) for at in (2, 1)] == [["2"], ["1"]]


def test_a_header_of_r_gets_the_name_that_it_lacks(tmp_path: Path) -> None:
    file = open_labels(write(tmp_path / "a.txt", "s1\ts2\nTP53\t1\t2\nKRAS\t3\t4\n"))
    assert file.columns == ("", "s1", "s2")
    assert file.texts(0) == ["TP53", "KRAS"]


def test_a_single_quote_in_a_maf_is_text_and_quoted_cells_lose_theirs(tmp_path: Path) -> None:
    file = open_labels(write(tmp_path / "a.maf", 'Gene\tnote\nTP53\t"5 of it\nKRAS\tx\n'))
    assert file.texts(1) == ['"5 of it', "x"]
    file = open_labels(write(tmp_path / "b.txt", '"Gene"\t"n"\n"TP53"\t"a\tb"\n'))
    assert file.columns == ("Gene", "n")
    assert file.texts(1) == ["a\tb"]


def test_parquet_keeps_its_index_and_reads_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"G": [0.5, np.nan], "c": pd.Categorical(["x", None])}, index=["p1", "p2"])
    frame.to_parquet(tmp_path / "a.parquet")
    file = open_labels((tmp_path / "a.parquet").as_uri())
    assert file.columns == ("", "G", "c")
    assert [file.texts(at) for at in (0, 2)] == [["p1", "p2"], ["x", ""]]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"", "labels .*a.csv: the file is empty"),
        (
            "a.xlsx",
            b"PK\x03\x04...",
            "labels .*a.xlsx: is a spreadsheet or a zip archive; save the table as CSV",
        ),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0...",
            "labels .*a.xls: is a spreadsheet or a zip archive; save the table as CSV",
        ),
        ("a.csv", b"\n# nothing\n\n", "only comments and blank lines, no header"),
        ("a.csv", b"patient_id,TP53\n", "no rows under the header"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00", "not UTF-8 text; save it as CSV, TSV or Parquet"),
        ("a.csv", b"hello\nworld\n", "header 'hello' has no tab, comma or semicolon"),
        ("a.csv", b"id,TP53\np1,1\np2,1,0\n", "cannot be read as a table .*Expected 2 columns"),
        ("a.csv", b"id,TP53\np1,1\np2\n", "cannot be read as a table .*Expected 2 columns, got 1"),
        ("a.csv", b"id,TP53\np\xff,1\n", "cannot be read as a table .*UTF8"),
        (
            "a.parquet",
            b"id,TP53\np1,1\n",
            "cannot be read as a table .*give a CSV, TSV or Parquet file",
        ),
        ("a.csv.gz", gzip.compress(b"id,TP53\np1,1\n", mtime=0)[:-9], "damaged gzip"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_labels(write(tmp_path / name, data))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be read .*; check the path"):
            open_labels(str(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "# mine\nTP53\n\n KRAS \nTP53\n"),
        ("a.txt", "gene\nTP53\nKRAS\n"),
        ("a.csv", "rank,Gene\n1,TP53\n2,KRAS\n3,\n"),
        ("a.txt", "stable_id: luad_sequenced\ncase_list_ids: TP53\tKRAS\n"),
    ],
)
def test_names_are_read_from_lines_columns_and_case_lists(
    tmp_path: Path, name: str, text: str
) -> None:
    assert read_names(write(tmp_path / name, text), "--genes", ("gene",)) == ("TP53", "KRAS")


def test_a_list_without_the_column_or_without_names_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--genes .*: none of its columns \(a, b\) is called gene; rename"
    ):
        read_names(write(tmp_path / "a.csv", "a,b\n1,2\n"), "--genes", ("gene",))
    with pytest.raises(ConfigError, match="no names in it; write one a line"):
        read_names(write(tmp_path / "b.txt", "gene\n"), "--genes", ("gene",))
