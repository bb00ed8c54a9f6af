"""The direct reader against OpenSlide on the same files: not one byte may differ."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import tifffile

import histo_ray.slides.direct.direct_reader as direct_reader
from histo_ray.errors import SlideError
from histo_ray.slides.direct.cache import Key, TileCache
from histo_ray.slides.direct.direct_reader import DirectReader
from histo_ray.slides.direct.jpeg import decode_tile
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.pixels import read_tiles
from testing.jpeg_slides import KINDS, Kind, write_jpeg_slide
from tests.slides.direct_comparison import (
    differing_bytes,
    differing_bytes_of_tiles,
    open_both,
    regions,
)

Pixels = npt.NDArray[np.uint8]
RGB, YCBCR = KINDS["aperio, RGB, no Adobe marker, shared tables"], KINDS["aperio, YCbCr 4:2:0"]


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def slide_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jpeg_slide(tmp_path_factory.mktemp("kind") / "S1.tif", request.param)


@pytest.fixture
def openslide_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often OpenSlide was asked for pixels of each level."""
    reads: Counter[int] = Counter()
    read = OpenSlideReader.read

    def count(self: OpenSlideReader, corner: Any, level: int, size: Any) -> Pixels:
        reads[level] += 1
        return read(self, corner, level, size)

    monkeypatch.setattr(OpenSlideReader, "read", count)
    return reads


def test_every_region_is_openslides_to_the_byte(slide_file: Path) -> None:
    assert differing_bytes(slide_file) == 0


def test_regions_of_level_0_never_need_openslide(
    slide_file: Path, openslide_reads: Counter[int]
) -> None:
    with open_slide(str(slide_file), mpp=0.5) as slide:
        assert slide.reader == "direct"
        for corner, level, size in regions(slide, (240, 240)):
            slide.read(corner, level, size)
    assert openslide_reads[0] == 0


def test_what_is_said_of_the_slide_is_the_same(slide_file: Path) -> None:
    direct, plain = open_both(slide_file)
    with direct, plain:
        for name in ("pyramid", "level_sizes", "mpp", "vendor", "background", "fingerprint"):
            assert getattr(direct, name) == getattr(plain, name)
        assert direct._reader.stated_mpp == plain._reader.stated_mpp


def test_real_slides_are_read_to_the_byte(real_data: Path) -> None:
    assert differing_bytes(real_data / "slides" / "CMU-1-Small-Region.svs") == 0
    assert (
        differing_bytes_of_tiles(real_data / "slides" / "fluorescence-DAPI.ndpi", (1000, 700)) == 0
    )
    jpeg2000 = str(real_data / "slides" / "1065626.svs")
    with open_slide(jpeg2000) as slide:
        assert slide.reader == "openslide"
    with pytest.raises(SlideError, match="takes only tiles of 8-bit RGB or YCbCr JPEG in formats"):
        open_slide(jpeg2000, reader="direct")


@pytest.mark.parametrize("mpp", [0.5, 1.0, 1.3, 2.0])
def test_batches_of_tiles_are_the_same(tmp_path: Path, mpp: float) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", replace(YCBCR, size=(1203, 905)))
    batches = []
    for reader in ("direct", "openslide"):
        with open_slide(str(path), mpp=0.5, reader=reader) as slide:
            batches.append([b.pixels for b in read_tiles(slide, mpp, tile_px=64, batch_size=7)])
    assert len(batches[0]) > 1
    for ours, theirs in zip(*batches, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "kind",
    [
        replace(RGB, aperio=False, missing=((0, 0), (0, 7), (0, 19), (1, 2))),
        replace(RGB, missing=((0, 0), (0, 7), (0, 19))),
        replace(YCBCR, size=(1200, 960), factors=(1, 2, 4), missing=((1, 3),)),
    ],
    ids=["generic", "aperio, level 0", "aperio, level 1"],
)
def test_missing_tiles_look_as_openslide_shows_them(
    tmp_path: Path, kind: Kind, openslide_reads: Counter[int]
) -> None:
    path = write_jpeg_slide(tmp_path / "holes.tif", kind)
    assert differing_bytes(path, kind.tile) == 0
    with open_slide(str(path), mpp=0.5) as slide:
        openslide_reads.clear()
        hole = slide.read((0, 0), 0, (100, 90))
        assert openslide_reads[0] == 0
    if (0, 0) in kind.missing:
        assert (hole == 255).all()


def test_a_walk_along_rows_decodes_each_tile_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = replace(RGB, size=(3000, 1500), factors=(1,), tile=(96, 96))
    path = write_jpeg_slide(tmp_path / "wide.svs", kind)
    decodes = count_decodes(monkeypatch)
    with open_slide(str(path), mpp=0.25) as slide:
        for batch in read_tiles(slide, mpp=0.5, tile_px=70, batch_size=9):
            assert batch.pixels.shape[1:] == (70, 70, 3)
    columns, rows = 2940 // 96 + 1, 1400 // 96 + 1
    assert len(decodes) == columns * rows
    assert set(decodes.values()) == {1}


def test_the_cache_is_bounded_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", replace(RGB, size=(1500, 1100), tile=(96, 96)))
    held: list[int] = []
    cache = TileCache(limit_bytes=10 * 96 * 96 * 3)
    put = cache.put

    def watched(key: Key, tile: Pixels) -> None:
        put(key, tile)
        held.append(cache.bytes_held)

    monkeypatch.setattr(cache, "put", watched)
    reader = DirectReader(str(path), OpenSlideReader(str(path), "S1"), cache)
    whole = reader.read((0, 0), 0, (1500, 1100))
    assert max(held) == 10 * 96 * 96 * 3
    assert len(held) == 16 * 12
    with open_slide(str(path), reader="openslide") as plain:
        np.testing.assert_array_equal(whole, plain.read((0, 0), 0, (1500, 1100)))
    reader.close()
    assert cache.bytes_held == 0


def test_what_is_read_can_be_changed_without_harm(tmp_path: Path) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", RGB)
    with open_slide(str(path)) as slide:
        first = slide.read((0, 0), 0, (240, 240))
        kept = first.copy()
        first[:] = 0
        np.testing.assert_array_equal(slide.read((0, 0), 0, (240, 240)), kept)


def test_threads_may_share_a_slide(tmp_path: Path) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", replace(YCBCR, size=(1500, 1100)))
    known = OpenSlideReader(str(path), "S1")
    reader = DirectReader(str(path), known, TileCache(limit_bytes=5 * 256 * 256 * 3))
    places = [(int(x), int(y)) for x, y in np.random.default_rng(1).integers(0, 1000, (200, 2))]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda corner: reader.read(corner, 0, (150, 130)), places))
    for corner, pixels in zip(places, found, strict=True):
        np.testing.assert_array_equal(pixels, known.read(corner, 0, (150, 130)))
    reader.close()


def test_the_file_is_released(tmp_path: Path) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", RGB)
    slide = open_slide(str(path))
    slide.read((0, 0), 0, (10, 10))
    assert path in open_files()
    slide.close()
    assert path not in open_files()
    with pytest.raises(SlideError, match="closed"):
        slide.read((300, 300), 0, (10, 10))


def test_a_file_that_is_not_understood_goes_to_openslide_or_fails_by_name(
    tmp_path: Path, tiled_tiff: Path, gradient: Pixels
) -> None:
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, gradient[..., 0], tile=(128, 128), compression="jpeg", metadata=None)
    for path, found in ((tiled_tiff, "compression: .*DEFLATE"), (grey, "photometric: ")):
        with open_slide(str(path), mpp=0.5) as slide:
            assert slide.reader == "openslide"
        with pytest.raises(SlideError, match=rf"{path.name}: {found}.*leave the reader at auto"):
            open_slide(str(path), mpp=0.5, reader="direct")
    png = tmp_path / "a.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SlideError, match="not know its format, and the direct reader takes"):
        open_slide(str(png), mpp=0.5, reader="direct")


def open_files() -> list[Path]:
    return [Path(file.path) for file in psutil.Process().open_files()]


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    decodes: Counter[bytes] = Counter()
    decode = decode_tile

    def counted(data: bytes, size: tuple[int, int], shrink: int = 1) -> Pixels:
        decodes[data] += 1
        return decode(data, size, shrink)

    monkeypatch.setattr(direct_reader, "decode_tile", counted)
    return decodes
