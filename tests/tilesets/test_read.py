import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histo_ray.errors import ConfigError
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.tileset import TileSet, load_tiles

WriteClass = Callable[..., list[Path]]
Noise = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, write_class: WriteClass) -> Path:
    """Three classes in three kinds of file: 5 TUM, 4 STR, 3 ADI."""
    place = tmp_path / "My Tiles"
    write_class(place, "TUM", 5, suffix=".tif")
    write_class(place, "STR", 4, suffix=".png")
    write_class(place, "ADI", 3, suffix=".JPG")
    return place


def problems_of(source: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_tileset(str(source))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_of_classes_is_a_set_sorted_by_class_and_file(folder: Path) -> None:
    tiles = read_tileset(str(folder))
    assert tiles.name == "my-tiles"
    assert tiles.classes == ("ADI", "STR", "TUM")
    assert tiles.labels.tolist() == [0] * 3 + [1] * 4 + [2] * 5
    assert tiles.labels.dtype == np.int32
    assert [Path(path).name for path in tiles.paths[:4]] == [
        "ADI-000.JPG", "ADI-001.JPG", "ADI-002.JPG", "STR-000.png",
    ]  # fmt: skip
    assert tiles.groups is None
    assert tiles.tile_px == 24
    assert tiles.counts == {"ADI": 3, "STR": 4, "TUM": 5}
    assert tiles.label_names[2:4] == ("ADI", "STR")


def test_digests_are_of_the_pixels_not_of_the_file(folder: Path) -> None:
    tiles = read_tileset(str(folder))
    pixels = np.asarray(Image.open(tiles.paths[5]))
    assert tiles.digests[5] == hashlib.sha256(pixels.tobytes()).hexdigest()
    before = tiles.digest
    Image.fromarray(pixels).save(tiles.paths[5], compress_level=0)
    assert read_tileset(str(folder)).digest == before
    Image.fromarray(255 - pixels).save(tiles.paths[5])
    assert read_tileset(str(folder)).digest != before


def test_pixels_come_in_the_order_asked_for(folder: Path) -> None:
    tiles = read_tileset(str(folder))
    for threads in (1, 3):
        pixels = load_tiles(tiles, [11, 0, 4, 4], threads=threads)
        assert pixels.shape == (4, 24, 24, 3)
        for row, found in zip([11, 0, 4, 4], pixels, strict=True):
            assert np.array_equal(found, np.asarray(Image.open(tiles.paths[row])))
    assert load_tiles(tiles, np.array([], int)).shape == (0, 24, 24, 3)


def test_a_file_that_changed_since_is_refused(folder: Path, noise: Noise) -> None:
    tiles = read_tileset(str(folder))
    Image.fromarray(noise(99)).save(tiles.paths[4])
    load_tiles(tiles, [4])
    with pytest.raises(
        ConfigError,
        match=r"STR-001\.png has changed since the set was read: its pixels are others;",
    ):
        load_tiles(tiles, range(12), check=True)
    Image.fromarray(noise(99, 30)).save(tiles.paths[4])
    with pytest.raises(ConfigError, match="30 x 30 px now"):
        load_tiles(tiles, [4])
    Path(tiles.paths[4]).unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_tiles(tiles, [4])


def test_a_table_names_files_labels_and_patients(folder: Path) -> None:
    rows = [
        (str(path.relative_to(folder.parent)), path.parent.name, f"P{k % 3}")
        for k, path in enumerate(sorted(folder.glob("*/*")))
    ]
    table = pd.DataFrame(rows[::-1], columns=["path", "label", "group"])
    table.to_csv(folder.parent / "Cohort A.csv", index=False)
    table.to_parquet(folder.parent / "cohort.parquet")
    by_csv = read_tileset(str(folder.parent / "Cohort A.csv"))
    by_parquet = read_tileset(str(folder.parent / "cohort.parquet"), name="other")
    by_folder = read_tileset(str(folder))
    assert by_csv.name == "cohort-a"
    assert by_parquet.name == "other"
    assert by_csv.paths == by_parquet.paths == by_folder.paths
    assert by_csv.groups == tuple(f"P{k % 3}" for k in range(12))
    assert by_csv.digest == by_parquet.digest != by_folder.digest  # patients are part of the data


def test_hidden_files_and_papers_beside_the_classes_are_passed_over(folder: Path) -> None:
    before = read_tileset(str(folder)).digest
    (folder / "STR" / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.png").write_bytes(b"x")
    (folder / "README.md").write_text("licence")
    assert read_tileset(str(folder)).digest == before


def test_all_problems_come_in_one_line(folder: Path, write_class: WriteClass, noise: Noise) -> None:
    jpeg = folder / "ADI" / "ADI-001.JPG"
    jpeg.write_bytes(jpeg.read_bytes()[:-40])
    Image.fromarray(noise(1)[..., 0]).save(folder / "STR" / "grey.png")
    Image.fromarray(noise(1)[..., 0].astype(np.uint16)).save(folder / "STR" / "deep.png")
    Image.fromarray(noise(2)[:20]).save(folder / "STR" / "oblong.png")
    Image.fromarray(noise(3, 32)).save(folder / "STR" / "big.png")
    (folder / "TUM" / "notes.txt").write_text("x")
    (folder / "MUC").mkdir()
    twin = next((folder / "TUM").glob("*.tif"))
    Image.open(twin).save(folder / "STR" / "twin.png")
    text = problems_of(folder)
    assert "8 problems" in text
    for words in (
        "ADI/ADI-001.JPG: the image is damaged",
        "STR/grey.png: 1 channel; a tile is 8-bit RGB",
        "STR/deep.png: 16-bit, 1 channel; a tile is 8-bit RGB",
        "STR/oblong.png: 24 x 20 px; tiles are squares, here of 24 px",
        "STR/big.png: 32 x 32 px; most tiles have 24 x 24 px",
        "TUM/notes.txt: not an image",
        "MUC: a class without images",
        "STR/twin.png (STR) and TUM/TUM-000.tif (TUM): the same pixels under different labels",
    ):
        assert words in text


def test_the_first_ten_problems_are_named_and_the_rest_counted(folder: Path) -> None:
    for path in folder.glob("*/*"):
        path.write_bytes(b"nonsense")
    assert "; and 2 more" in problems_of(folder)
    assert problems_of(folder).count("not a PNG, JPEG or TIFF") == 10


def test_no_tile_is_square(tmp_path: Path, noise: Noise) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(noise(ord(label))[:20]).save(tmp_path / label / "x.png")
    assert "a/x.png: 24 x 20 px; tiles are squares;" in problems_of(tmp_path)


def test_one_class_is_too_few(tmp_path: Path, write_class: WriteClass) -> None:
    write_class(tmp_path, "TUM", 3)
    assert "all tiles are of one class (TUM); at least two are needed" in problems_of(tmp_path)


def test_an_empty_folder_and_none_at_all_are_told(tmp_path: Path) -> None:
    assert "there is no tile in it" in problems_of(tmp_path)
    assert "no such folder" in problems_of(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    assert "this is a file; name a folder with one folder for each class" in problems_of(
        tmp_path / "file"
    )


def test_images_in_no_class_and_folders_in_a_class_are_told(
    folder: Path, write_class: WriteClass
) -> None:
    write_class(folder / "TUM", "more", 1)
    Image.new("RGB", (24, 24)).save(folder / "loose.png")
    text = problems_of(folder)
    assert "loose.png: an image outside every class folder" in text
    assert "TUM/more: a folder inside a class; move its images up" in text


def test_a_table_tells_its_problems_by_line(folder: Path) -> None:
    table = folder.parent / "t.csv"
    table.write_text(
        "path,label,group\n"
        "My Tiles/TUM/TUM-000.tif,TUM,P1\n"
        "My Tiles/TUM/TUM-000.tif,TUM,P1\n"
        "My Tiles/TUM/TUM-001.tif,,P1\n"
        "My Tiles/STR/STR-001.png,STR,\n"
        "My Tiles/STR/none.png,STR,P2\n"
    )
    text = problems_of(table)
    assert "line 3: path 'My Tiles/TUM/TUM-000.tif' is that of line 2, too" in text
    assert "line 4: label is empty" in text
    assert "line 5: group is empty" in text
    assert "My Tiles/STR/none.png: there is no such file" in text
    table.write_text("file,label\nx,y\n")
    assert "no column path" in problems_of(table)
    assert problems_of(folder.parent / "none.csv").startswith("tiles ")


def test_a_name_must_be_a_slug(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'A B' cannot name a tile set; use a-z"):
        read_tileset(str(folder), name="A B")


def test_progress_reaches_the_end(folder: Path) -> None:
    said: list[tuple[int, int]] = []
    read_tileset(str(folder), report=lambda done, total: said.append((done, total)))
    assert said[-1] == (12, 12)


def test_real_tiles_of_nine_classes_are_read(real_tiles: Path) -> None:
    tiles: TileSet = read_tileset(str(real_tiles / "nct9"))
    assert tiles.classes == ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
    assert (len(tiles), tiles.tile_px) == (58, 224)
    assert {Path(path).suffix for path in tiles.paths} == {".tif", ".png", ".jpg"}
    assert load_tiles(tiles, range(58), check=True).shape == (58, 224, 224, 3)
