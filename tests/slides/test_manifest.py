from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from histo_ray.errors import ConfigError
from histo_ray.slides.manifest import open_manifest, read_manifest


def write(folder: Path, text: str, files: tuple[str, ...] = ("a.svs", "b.svs")) -> str:
    for name in files:
        (folder / name).write_bytes(b"x")
    manifest = folder / "slides.csv"
    manifest.write_bytes(text.encode())
    return str(manifest)


def problems(manifest: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_manifest(manifest)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_defaults_come_from_the_tcga_barcode(tmp_path: Path) -> None:
    barcode = "TCGA-05-4249-01Z-00-DX1.9fce0297"
    manifest = write(tmp_path, f"slide_id,path,stage\n{barcode},a.svs,II\n007,b.svs,\n")
    first, second = read_manifest(manifest)
    assert (first.patient_id, first.site, first.extra) == ("TCGA-05-4249", "05", {"stage": "II"})
    assert (second.slide_id, second.patient_id, second.site) == ("007", "007", "")
    assert first.mpp is None
    assert first.path == str(tmp_path / "a.svs")


def test_what_the_manifest_says_overrides_the_defaults(tmp_path: Path) -> None:
    text = "slide_id,path,patient_id,site,mpp\nTCGA-05-4249-01,a.svs,P9,Bern,0.5\n"
    (slide,) = read_manifest(write(tmp_path, text))
    assert (slide.patient_id, slide.site, slide.mpp) == ("P9", "Bern", 0.5)


def test_bom_crlf_and_blank_lines_are_fine(tmp_path: Path) -> None:
    text = "\ufeffslide_id,path\r\nA,a.svs\r\n\r\nB,b.svs\r\n\r\n,\r\n"
    assert [slide.slide_id for slide in read_manifest(write(tmp_path, text))] == ["A", "B"]


def test_a_mark_that_says_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    text = "slide_id,path,synthetic\nA,a.svs,maybe\nB,b.svs,TRUE\nC,a.svs,\nD,b.svs,0\n"
    assert "line 2: synthetic 'maybe' says neither yes nor no; write true or false" in problems(
        write(tmp_path, text)
    )
    slides = read_manifest(write(tmp_path, text.replace("maybe", "no")))
    assert [slide.synthetic for slide in slides] == [False, True, False, False]


def test_all_problems_come_at_once_with_their_lines(tmp_path: Path) -> None:
    rows = ["A,a.svs,0.5", "A,b.svs,0.5", "a,b.svs,", "x/y,a.svs,nan", ".z,a.svs,inf",
            ",a.svs,0.04", "C,gone.svs,20.5", "D,,half", "E,a.svs,1,2", "F,.,1"]  # fmt: skip
    text = problems(write(tmp_path, "slide_id,path,mpp\n" + "\n".join(rows) + "\n"))
    for part in (
        "line 3: slide_id 'A' is also in line 2; give each slide its own id",
        "line 4: slide_id 'a' differs only in case from 'A' in line 2",
        "line 5: slide_id 'x/y' is not safe as a file name",
        "line 5: mpp 'nan' is not a resolution; give microns per pixel between 0.05 and 20",
        "line 6: slide_id '.z' is not safe",
        "line 6: mpp 'inf'",
        "line 7: slide_id is empty",
        "line 7: mpp '0.04'",
        "gone.svs': no such file",
        "line 8: mpp '20.5'",
        "line 9: mpp 'half'",
        "line 9: path is empty",
        "line 10: 4 cells, but 3 columns in the header",
        "line 11: path",
        "a folder",
    ):
        assert part in text


def test_very_many_problems_are_counted_not_listed(tmp_path: Path) -> None:
    text = problems(write(tmp_path, "slide_id,path\n" + "".join(f"s{k},no\n" for k in range(50))))
    assert "50 problems" in text
    assert text.endswith("; and 30 more")
    assert text.count("no such file") == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,mpp\na.svs,1\n",
            r"no column slide_id in the header \(its columns: path, mpp\); add it",
        ),
        ("name\nA\n", "no column slide_id and no column path"),
        ("", "the file is empty; write a header"),
        (" \n,\n", "the file is empty; write a header"),
        ("slide_id,path\n", "no rows under the header; add a row for each slide"),
        ("slide_id;path\nA;a.svs\n", "columns are separated by semicolons; save it as CSV with"),
        ("slide_id,path,path\nA,a,b\n", "column path is there more than once"),
        ('slide_id,path\nA,"a.svs\n', "line 2 is not CSV"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_manifest(write(tmp_path, text))


def test_line_numbers_count_the_lines_of_quoted_cells(tmp_path: Path) -> None:
    text = problems(write(tmp_path, 'slide_id,path,note\nA,a.svs,"one\ntwo"\nB,gone,x\n'))
    assert "line 4: path" in text


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes("slide_id,path\nä,a\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 14 is not UTF-8"):
        read_manifest(str(tmp_path / "m.csv"))


def test_parquet_keeps_types_and_counts_rows(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"x")
    frame = pd.DataFrame({"slide_id": ["007", "8"], "path": "a.svs", "mpp": [0.5, None], "age": 61})
    frame.to_parquet(tmp_path / "m.parquet")
    first, second = read_manifest(str(tmp_path / "m.parquet"))
    assert (first.slide_id, first.mpp, first.extra["age"]) == ("007", 0.5, 61)
    assert second.mpp is None
    table = pa.table({"slide_id": ["A", "B"], "path": ["a.svs", "b"], "mpp": [float("nan"), 1.0]})
    parquet.write_table(table, tmp_path / "bad.parquet")
    text = problems(str(tmp_path / "bad.parquet"))
    assert "row 1: mpp nan" in text
    assert "row 2: path" in text


def test_a_missing_or_damaged_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="check the path"):
        read_manifest(str(tmp_path / "none.csv"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ConfigError, match="not readable as Parquet"):
        read_manifest(str(tmp_path / "bad.parquet"))


@pytest.mark.parametrize(
    ("cell", "marked"), [("true", True), (" TRUE ", True), ("1", True), ("", False), ("no", False)]
)
def test_a_slide_is_synthetic_if_its_manifest_says_so(
    tmp_path: Path, cell: str, marked: bool
) -> None:
    (slide,) = read_manifest(write(tmp_path, f"slide_id,path,synthetic\nS,a.svs,{cell}\n"))
    assert slide.synthetic is marked


def test_ids_that_a_spreadsheet_made_dates_of_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"a")
    (tmp_path / "b.svs").write_bytes(b"bb")
    manifest = tmp_path / "m.csv"
    manifest.write_text("slide_id,path,patient_id\n1-Mar,a.svs,2001-03-01\nB,b.svs,2001-04-01\n")
    dates = [note for note in open_manifest(str(manifest)).notes if "date" in note]
    assert [note.partition(", which spreadsheets")[0] for note in dates] == [
        "1 slide_id looks like a date (1-Mar)",
        "2 patient_ids look like a date (2001-03-01, 2001-04-01)",
    ]
    manifest.write_text("slide_id,path,patient_id\nS-1-3,a.svs,MAR1\nB,b.svs,TCGA-05-4249\n")
    assert not [note for note in open_manifest(str(manifest)).notes if "date" in note]
