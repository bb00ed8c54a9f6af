"""Who is one patient: names of columns, barcodes in any case, and what is told."""

from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.slides.column_names import PATIENT_NAMES, plain_name
from histo_ray.slides.manifest import Manifest, open_manifest


def read(folder: Path, text: str, same: tuple[str, ...] = ()) -> Manifest:
    """A manifest beside files a.svs to e.svs, which differ but for those in `same`."""
    for name in "abcde":
        content = b"same" if name in same else f"file {name}".encode()
        (folder / f"{name}.svs").write_bytes(content)
    (folder / "m.csv").write_text(text)
    return open_manifest(str(folder / "m.csv"))


@pytest.mark.parametrize(
    "name",
    [
        *("patient_id", "Patient_ID", "PATIENT", "Patient ID", "patient.id", "PatientID"),
        *("case_id", "Case ID", "case", "submitter_id", "bcr_patient_barcode", "PATIENT_ID"),
        *("case_submitter_id", "cases.submitter_id", "cases.0.submitter_id", "Participant ID"),
        *("subject_id", "Subject"),
    ],
)
def test_patients_are_read_from_the_names_that_the_field_uses(tmp_path: Path, name: str) -> None:
    assert plain_name(name) in PATIENT_NAMES
    found = read(tmp_path, f"slide_id,path,{name}\nA,a.svs,p1\nB,b.svs,p1\nC,c.svs,p2\n")
    assert [slide.patient_id for slide in found.slides] == ["p1", "p1", "p2"]
    assert found.notes[0] == "3 slides, 2 patients, 0 of them named by their slide_id"
    assert (f"patient_id is read from column {name}" in found.notes) == (name != "patient_id")


@pytest.mark.parametrize(
    ("header", "site", "mpp"),
    [
        ("Slide_ID,FilePath,center,MPP", "x", 0.5),
        ("slide,file_path,Tissue Source Site,microns_per_pixel", "x", 0.5),
        ("Image ID,PATH,hospital,mpp_x", "x", 0.5),
        ("FILENAME,path,Site,um_per_px", "x", 0.5),
    ],
)
def test_other_columns_go_by_several_names_too(
    tmp_path: Path, header: str, site: str, mpp: float
) -> None:
    (slide,) = read(tmp_path, f"{header},stage\nA.svs,a.svs,x,0.5,II\n").slides
    wanted = "A" if header.startswith("FILENAME") else "A.svs"
    assert (slide.slide_id, Path(slide.path).name) == (wanted, "a.svs")
    assert (slide.site, slide.mpp, slide.extra["stage"]) == (site, mpp, "II")


def test_the_name_of_a_file_is_path_and_slide_id_where_nothing_else_is(tmp_path: Path) -> None:
    found = read(tmp_path, "PATIENT,FILENAME\np1,a.svs\np1,b.svs\n")
    assert [(s.slide_id, s.patient_id) for s in found.slides] == [("a", "p1"), ("b", "p1")]
    assert any("slide_id is the name of the file" in note for note in found.notes)


def test_barcodes_are_read_in_any_case(tmp_path: Path) -> None:
    first, second = "tcga-xx-0001-01z-00-dx1", "TCGA-XX-0001-01Z-00-DX2"
    found = read(tmp_path, f"slide_id,path\n{first},a.svs\n{second},b.svs\n")
    assert {slide.patient_id for slide in found.slides} == {"TCGA-XX-0001"}
    assert {slide.site for slide in found.slides} == {"XX"}
    found = read(tmp_path, "slide_id,path,patient\nA,a.svs,tcga-xx-0001\nB,b.svs,TCGA-XX-0001\n")
    assert {slide.patient_id for slide in found.slides} == {"TCGA-XX-0001"}


def test_slides_that_are_their_own_patients_are_counted_and_a_column_is_pointed_at(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, "slide_id,path,Patient No. (old)\nA,a.svs,1\nB,b.svs,1\n")
    assert found.notes[0] == "2 slides, 2 patients, 2 of them named by their slide_id"
    assert any("Patient No. (old) may be one" in note for note in found.notes)
    assert any(
        "2 slides without a TCGA barcode are patients of their own" in n for n in found.notes
    )
    found = read(tmp_path, "slide_id,path,case_id\nA,a.svs,p1\nB,b.svs,\n")
    assert found.notes[0] == "2 slides, 2 patients, 1 of them named by their slide_id"
    assert any("1 slide without an entry in column case_id (B)" in note for note in found.notes)


def test_columns_that_disagree_are_refused_or_told(tmp_path: Path) -> None:
    rows = "A,a.svs,p1,c1\nB,b.svs,p1,c2\nC,c.svs,p2,c2\n"
    told = r"columns PATIENT and case_id both name the patient and disagree in 3 rows \(line 2: "
    with pytest.raises(ConfigError, match=told + r".*name the right one patient_id"):
        read(tmp_path, "slide_id,path,PATIENT,case_id\n" + rows)
    found = read(tmp_path, "slide_id,path,patient_id,case_id\n" + rows)
    assert [slide.patient_id for slide in found.slides] == ["p1", "p1", "p2"]
    assert any("patient_id and case_id both name the pat" in note for note in found.notes)
    with pytest.raises(ConfigError, match="columns patient_id and Patient_ID both name"):
        read(tmp_path, "slide_id,path,patient_id,Patient_ID\n" + rows)
    with pytest.raises(ConfigError, match="columns mpp_x and mpp_y both name the resolution"):
        read(tmp_path, "slide_id,path,mpp_x,mpp_y\nA,a.svs,0.5,0.6\n")
    with pytest.raises(ConfigError, match="columns slide and image_id both name the slide"):
        read(tmp_path, "slide,image_id,path\nA,B,a.svs\n")


def test_uuids_and_barcodes_of_the_same_patients_agree(tmp_path: Path) -> None:
    rows = "A,a.svs,u-1,TCGA-XX-0001\nB,b.svs,u-1,TCGA-XX-0001\nC,c.svs,u-2,TCGA-XX-0002\n"
    found = read(tmp_path, "slide_id,path,case_id,case_submitter_id\n" + rows)
    assert [s.patient_id for s in found.slides] == ["TCGA-XX-0001", "TCGA-XX-0001", "TCGA-XX-0002"]


def test_ids_that_differ_only_in_writing_get_a_hint_and_stay_apart(tmp_path: Path) -> None:
    rows = "A,a.svs,p1\nB,b.svs,P1\nC,c.svs,p01\nD,d.svs,q\nE,e.svs,q-2\n"
    found = read(tmp_path, "slide_id,path,patient_id\n" + rows)
    assert found.notes[0].startswith("5 slides, 5 patients")
    (hint,) = [note for note in found.notes if "differ" in note]
    for part in ("only in case (P1 / p1)", "leading zeros (P1 / p01", "a suffix (q / q-2)"):
        assert part in hint


def test_one_file_under_two_patients_or_ids_is_told(tmp_path: Path) -> None:
    rows = "A,a.svs,p1\nB,b.svs,p2\nC,c.svs,p3\nD,c.svs,p3\n"
    found = read(tmp_path, "slide_id,path,patient_id\n" + rows, same=("a", "b"))
    notes = "\n".join(found.notes)
    assert "the same path for 2 slides of one patient (C of p3, D of p3): they count twice" in notes
    told = "64 KiB) for 2 slides of different patients (A of p1, B of p2): one "
    assert told in notes
    found = read(tmp_path, "slide_id,path,patient_id\n" + rows)
    assert not any("same content" in note for note in found.notes)


def test_columns_that_group_alike_by_other_names_are_told(tmp_path: Path) -> None:
    text = "slide_id,path,case_id,PATIENT\nA,a.svs,C1,P1\nB,b.svs,C2,C2\n"
    assert "both name the patient, by other names but alike" in " ".join(read(tmp_path, text).notes)


def test_a_name_that_only_the_other_column_has_is_not_lost(tmp_path: Path) -> None:
    text = "slide_id,path,case_id,PATIENT\nA,a.svs,C1,\nB,b.svs,,C2\n"
    with pytest.raises(ConfigError, match="both name the patient and disagree in 1 row"):
        read(tmp_path, text)


@pytest.mark.parametrize("none", ["NA", "nan", "N/A", "#N/A", "<NA>", "null", "None"])
def test_what_tables_write_for_no_name_is_no_patient(tmp_path: Path, none: str) -> None:
    found = read(tmp_path, f"slide_id,path,case_id\nA,a.svs,{none}\nB,b.svs,{none}\nC,c.svs,p\n")
    assert [slide.patient_id for slide in found.slides] == ["A", "B", "p"]
    assert "2 of them named by their slide_id" in found.notes[0]


def test_a_patient_that_the_barcode_contradicts_is_told(tmp_path: Path) -> None:
    name = "TCGA-AA-0001-01Z-00-DX1"
    text = f"slide_id,path,patient_id\n{name},a.svs,TCGA-BB-0009\nB,b.svs,TCGA-CC-0001\n"
    told = " ".join(read(tmp_path, text).notes)
    assert f"1 slide with the TCGA barcode of another patient than the one named ({name} is" in told
    same = f"slide_id,path,patient_id\n{name},a.svs,tcga-aa-0001-01Z\n"
    assert "barcode of another" not in " ".join(read(tmp_path, same).notes)
