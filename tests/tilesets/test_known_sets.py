"""Downloads of public tile sets are held against what is known of them."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from histo_ray.errors import ConfigError
from histo_ray.tilesets.known_sets import KnownSet, check_known_set, find_known, list_known

SMALL = KnownSet(
    title="Small",
    source="nobody",
    tile_px=24,
    archive="Small.zip",
    archive_bytes=5,
    archive_md5=hashlib.md5(b"right", usedforsecurity=False).hexdigest(),
    other_md5={hashlib.md5(b"other", usedforsecurity=False).hexdigest(): "Other.zip"},
    classes={"ADI": 3, "TUM": 2},
)


def write_set(folder: Path, classes: dict[str, int] | None = None) -> Path:
    for name, count in (SMALL.classes if classes is None else classes).items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (24, 24), (200, number, 90)).save(
                folder / name / f"{name}-{number}.tif"
            )
    return folder


def test_counts_are_those_that_were_published() -> None:
    assert list_known() == ["nct-crc-he-100k", "crc-val-he-7k"]
    assert find_known("nct-crc-he-100k").tiles == 100_000
    assert find_known("crc-val-he-7k").tiles == 7_180
    for name in list_known():
        assert len(find_known(name).archive_md5) == 32
    with pytest.raises(ConfigError, match="did you mean crc-val-he-7k"):
        find_known("crc-val-he-7")


def test_a_whole_download_has_no_deviation_wherever_it_was_unpacked(tmp_path: Path) -> None:
    assert check_known_set(SMALL, write_set(tmp_path / "Small")) == []
    assert check_known_set(SMALL, tmp_path) == []


def test_each_deviation_is_one_sentence_with_a_remedy(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"ADI": 2, "STR": 1})
    (folder / "ADI" / "TUM-9.tif").write_bytes(b"")
    Image.new("RGB", (24, 30)).save(folder / "ADI" / "ADI-1.tif")
    found = check_known_set(SMALL, folder)
    said = "\n".join(found)
    assert "STR is no class of Small; take it out" in said
    assert "class TUM: no tile below" in said
    assert "class ADI: 1 tiles are named as of another class (TUM-9.tif)" in said
    assert "1 tiles are empty files (TUM-9.tif)" in said
    assert "1 of the 3 tiles that were opened cannot be read (TUM-9.tif)" in said
    assert "are not 24 x 24 px (ADI-1.tif: 24 x 30 px)" in said
    assert len(found) == 6
    (folder / "ADI" / "TUM-9.tif").unlink()
    assert "class ADI: 2 tiles, Small has 3; unpack the archive again" in check_known_set(
        SMALL, folder
    )


def test_an_archive_is_told_by_its_size_and_its_md5(tmp_path: Path) -> None:
    archive = tmp_path / "any.zip"
    archive.write_bytes(b"right")
    assert check_known_set(SMALL, archive) == []
    archive.write_bytes(b"wrong")
    assert "download it again" in check_known_set(SMALL, archive)[0]
    archive.write_bytes(b"other")
    assert "it is Other.zip; download the right one" in check_known_set(SMALL, archive)[0]
    archive.write_bytes(b"rig")
    assert "has 3 bytes, Small.zip has 5; download the rest" in check_known_set(SMALL, archive)[0]
    assert "is not there; download Small.zip" in check_known_set(SMALL, tmp_path / "no")[0]
