"""Damaged files: the direct reader fails where OpenSlide fails, and else gives its pixels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.reader import open_slide
from testing.jpeg_slides import KINDS, write_jpeg_slide

Pixels = npt.NDArray[np.uint8]
SMALL = replace(
    KINDS["aperio, RGB, no Adobe marker, shared tables"], size=(301, 203), tile=(96, 96)
)
KINDS_OF_DAMAGE = [
    SMALL,
    replace(SMALL, rgb=False, subsampling=(2, 2), aperio=False, shared_tables=False),
]


@pytest.fixture(params=KINDS_OF_DAMAGE, ids=["RGB, shared tables", "YCbCr"])
def slide_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_jpeg_slide(tmp_path / "whole.svs", request.param)


def read_by(path: Path, reader: str) -> list[Pixels] | None:
    """Every level, whole and in its last corner; None if the slide fails."""
    try:
        with open_slide(str(path), mpp=0.5, reader=reader) as slide:
            found = []
            for level, (width, height) in enumerate(slide.level_sizes):
                found.append(slide.read((0, 0), level, (min(width, 999), min(height, 999))))
                corner = (min(slide.size[0], 999) - 50, min(slide.size[1], 999) - 40)
                found.append(slide.read(corner, level, (60, 50)))
            return found
    except SlideError:
        return None


def assert_as_openslide(path: Path) -> bool:
    """Whether the slide could be read; that both readers agree is asserted."""
    theirs, ours = read_by(path, "openslide"), read_by(path, "auto")
    if theirs is None:
        assert ours is None
        return False
    assert ours is not None
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
    return True


def change(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def tile_range(path: Path, tile: int = 3) -> tuple[int, int]:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        return page.dataoffsets[tile], page.databytecounts[tile]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda tile: bytes(len(tile)),
    "second half zeros": lambda tile: tile[: len(tile) // 2] + bytes(len(tile) - len(tile) // 2),
    "no end": lambda tile: tile[:-40] + bytes(40),
    "an end inside the scan": lambda tile: inside(tile, b"\xff\xd9"),
    "a restart marker out of order": lambda tile: inside(tile, b"\xff\xd3"),
    "other dimensions": lambda tile: larger(tile, b"\x01\x00\x01\x00"),
    "enormous dimensions": lambda tile: larger(tile, b"\xff\xdc\xff\xdc"),
    "one pixel": lambda tile: larger(tile, b"\x00\x01\x00\x01"),
    "no dimensions": lambda tile: larger(tile, b"\x00\x00\x00\x00"),
    "twelve bits": lambda tile: tile.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "a segment beyond the end": lambda tile: tile[:2] + b"\xff\xe1\xff\xff" + tile[6:],
    "the start of the tile again": lambda tile: tile[:2] + tile[:-2],
}


def inside(tile: bytes, data: bytes) -> bytes:
    at = len(tile) * 3 // 4
    return tile[:at] + data + tile[at + len(data) :]


def larger(tile: bytes, dimensions: bytes) -> bytes:
    at = tile.index(b"\xff\xc0\x00\x11\x08") + 5
    return tile[:at] + dimensions + tile[at + 4 :]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_tile_fails_the_slide(slide_file: Path, damage: Callable[[bytes], bytes]) -> None:
    start, length = tile_range(slide_file)
    data = slide_file.read_bytes()[start : start + length]
    broken = damage(data)
    assert len(broken) == length
    assert broken != data
    change(slide_file, start, broken)
    with open_slide(str(slide_file), mpp=0.5, reader="direct") as slide:
        slide.read((100, 0), 0, (50, 50))  # tile 1 is whole
        with pytest.raises(SlideError, match="OpenSlide cannot read it"):
            slide.read((290, 0), 0, (10, 10))
    assert not assert_as_openslide(slide_file)


def test_a_tile_of_another_kind_is_left_to_openslide(slide_file: Path) -> None:
    start, length = tile_range(slide_file)
    data = slide_file.read_bytes()[start : start + length]
    change(slide_file, start, data.replace(b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11"))
    assert assert_as_openslide(slide_file)  # arithmetic coding: noise, but OpenSlide's noise


def test_a_slide_cut_anywhere_fails_as_with_openslide(slide_file: Path) -> None:
    data = slide_file.read_bytes()
    whole = slide_file.with_name("cut.svs")
    for share in np.linspace(0.01, 0.999, 25):
        whole.write_bytes(data[: int(len(data) * share)])
        assert not assert_as_openslide(whole)


def test_a_slide_cut_while_it_is_open_fails(slide_file: Path) -> None:
    with open_slide(str(slide_file), mpp=0.5, reader="direct") as slide:
        start, length = tile_range(slide_file)
        slide_file.write_bytes(slide_file.read_bytes()[: start + length // 2])
        with pytest.raises(SlideError):
            slide.read((0, 0), 0, (301, 203))


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes_in_tiles_never_give_other_pixels_than_openslide(
    slide_file: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    data = slide_file.read_bytes()
    with tifffile.TiffFile(slide_file) as tiff:
        first = tiff.pages.first.dataoffsets[0]
        length = sum(tiff.pages.first.databytecounts)
    read = 0
    for _ in range(40):
        slide_file.write_bytes(data)
        for place in first + rng.integers(0, length, rng.integers(1, 4)):
            change(slide_file, int(place), rng.integers(0, 256, 1, np.uint8).tobytes())
        read += assert_as_openslide(slide_file)
    assert 0 < read < 40


@pytest.mark.parametrize("seed", range(2))
def test_random_headers_never_give_other_pixels_than_openslide(slide_file: Path, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    data = slide_file.read_bytes()
    with tifffile.TiffFile(slide_file) as tiff:
        entries = [
            page.offset + 2 + 12 * at + byte
            for page in tiff.pages
            if isinstance(page, tifffile.TiffPage)
            for at in range(len(page.tags))
            for byte in (0, 2, 4, 8, 9)  # code, type, count and value; not the high bytes
        ]
    direct = 0
    for place in rng.choice(entries, 60, replace=False):
        slide_file.write_bytes(data)
        change(slide_file, int(place), rng.integers(0, 256, 1, np.uint8).tobytes())
        if is_read_directly(slide_file):  # OpenSlide may end the process over some of the others
            direct += 1
            assert_as_openslide(slide_file)
    assert 0 < direct < 60


def is_read_directly(path: Path) -> bool:
    try:
        with open_slide(str(path), mpp=0.5, reader="direct"):
            return True
    except SlideError:
        return False


def test_tiles_beyond_the_end_of_the_file_are_left_to_openslide(
    tmp_path: Path,
) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", SMALL)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages.first
        offsets = [*page.dataoffsets[:-1], 10**9]
        page.tags["TileOffsets"].overwrite(offsets)
    with open_slide(str(path), mpp=0.5) as slide:
        assert slide.reader == "openslide"
        with pytest.raises(SlideError):
            slide.read((0, 0), 0, (301, 203))
    with pytest.raises(SlideError, match="tiles beyond the end of the file, and the direct reader"):
        open_slide(str(path), mpp=0.5, reader="direct")
