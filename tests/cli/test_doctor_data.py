"""`histo-ray doctor --data`: downloads are checked before hours are spent."""

import hashlib
import json
from pathlib import Path

import pytest

from histo_ray.cli.doctor_data import SETS
from histo_ray.cli.main import main
from histo_ray.tilesets.known_sets import list_known

SLIDE = "TCGA-05-4249-01Z-00-DX1.9fce.svs"


def write_download(folder: Path, *rows: tuple[str, bytes]) -> Path:
    manifest = folder / "gdc_manifest.txt"
    lines = ["id\tfilename\tmd5\tsize\tstate"]
    for number, (name, content) in enumerate(rows):
        place = folder / f"id{number}"
        place.mkdir()
        (place / name).write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        lines.append(f"id{number}\t{name}\t{md5}\t{len(content)}\treleased")
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out


def test_the_help_names_every_set_that_is_known() -> None:
    assert list(SETS) == list_known()


def test_a_wrong_name_is_answered_with_all_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(capsys, "--data", "bogus", str(tmp_path))
    assert code == 2
    assert "must be nct-crc-he-100k, crc-val-he-7k or gdc" in told


def test_what_is_missing_of_a_tile_set_is_told_and_the_code_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "--data", "crc-val-he-7k", str(tmp_path), "--json")
    found = json.loads(said)
    assert code == 2
    assert {check["state"] for check in found} == {"bad"}
    assert len(found) == 9
    assert "class ADI: no tile below" in found[0]["found"]
    code, said = run(capsys, "--data", "crc-val", str(tmp_path))
    assert code == 2
    assert "did you mean crc-val-he-7k" in said


def test_slides_are_held_against_the_manifest_of_the_portal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_download(tmp_path, (SLIDE, b"slide"), ("TCGA-05-4250-01Z-00-DX1.svs", b"two"))
    call = ("--data", "gdc", str(tmp_path), "--gdc-manifest", str(manifest))
    code, said = run(capsys, *call, "--digests")
    assert code == 0
    assert "2 files of 2 patients, all in" in said
    assert "right sizes and MD5" in said
    assert "PORPOISE has 515 diagnostic slides of 453 patients" in said
    (tmp_path / "id0" / SLIDE).write_bytes(b"slidE")
    assert run(capsys, *call)[0] == 0
    code, said = run(capsys, *call, "--digests")
    assert code == 2
    assert f"1 of the manifest's 2 files have another MD5 ({SLIDE})" in said
    (tmp_path / "id0" / SLIDE).write_bytes(b"sli")
    (tmp_path / "id1" / "TCGA-05-4250-01Z-00-DX1.svs").unlink()
    code, said = run(capsys, *call)
    assert code == 2
    assert f"another size ({SLIDE}: 3 of 5 bytes)" in said
    assert "are not below" in said


def test_frozen_slides_and_other_tables_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_download(tmp_path, ("TCGA-05-4249-01A-01-TS1.svs", b"frozen"))
    code, said = run(capsys, "--data", "gdc", str(tmp_path), "--gdc-manifest", str(manifest))
    assert code == 2
    assert "no diagnostic slides" in said
    manifest.write_text("slide_id,path\n")
    code, said = run(capsys, "--data", "gdc", str(tmp_path), "--gdc-manifest", str(manifest))
    assert code == 2
    assert "no column id, filename, md5, size" in said
    assert run(capsys, "--data", "gdc", str(tmp_path))[0] == 2
