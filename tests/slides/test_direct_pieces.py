"""The pure pieces of the direct reader: JPEG headers, places, cache, layout."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.slides.direct.cache import Key, TileCache
from histo_ray.slides.direct.indexed_tiles import IndexedTiles
from histo_ray.slides.direct.jpeg import (
    UnusualJpegError,
    decode_tile,
    join_tables,
    read_header,
)
from histo_ray.slides.direct.layout import Level, UnrecognisedError
from histo_ray.slides.direct.region import covered, cut_axis, place_region
from histo_ray.slides.direct.tiff_layout import read_layout
from testing.jpeg_slides import JFIF, KINDS, segments, texture, write_jpeg_slide

RGB = KINDS["aperio, RGB, no Adobe marker, shared tables"]


def encode(colours: str = "RGB", **options: Any) -> bytes:
    """A JPEG of 48 x 32 px."""
    picture = texture(48, 32)
    return bytes(
        imagecodecs.jpeg8_encode(
            picture, level=90, colorspace="RGB", outcolorspace=colours, **options
        )
    )


def restate_tile(data: bytes, tables: bytes, size: tuple[int, int], *, rgb: bool) -> bytes:
    whole = read_header(data, tables, size, rgb=rgb).restate(data)
    assert whole is not None
    return whole


def without(jpeg: bytes, *markers: int) -> bytes:
    return b"\xff\xd8" + b"".join(data for m, data in segments(jpeg) if m not in markers)


@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize("marker", ["none", "adobe", "jfif", "both"])
def test_a_tile_has_the_colours_that_the_tiff_says_whatever_it_says_itself(
    rgb: bool, marker: str
) -> None:
    right = encode("RGB" if rgb else "YCBCR")
    bare = without(right, 0xE0, 0xEE)
    adobe = next(data for m, data in segments(encode("RGB")) if m == 0xEE)  # claims RGB
    start = {"none": b"", "adobe": adobe, "jfif": JFIF, "both": JFIF + adobe}[marker]
    tile = restate_tile(b"\xff\xd8" + start + bare[2:], b"", (48, 32), rgb=rgb)
    wanted = imagecodecs.jpeg8_decode(
        right, colorspace="RGB" if rgb else "YCBCR", outcolorspace="RGB"
    )
    np.testing.assert_array_equal(decode_tile(tile, (48, 32)), wanted)


def test_a_header_serves_the_tiles_that_share_it_and_no_others() -> None:
    first, second = (encode("YCBCR", subsampling=samples) for samples in ((1, 1), (2, 2)))
    header = read_header(first, b"", (48, 32), rgb=False)
    assert header.stated.endswith(b"\xff\xda")
    assert header.restate(second) is None
    assert header.restate(header.stated) == header.restated
    assert header.restate(header.stated[:-1]) is None


def test_shared_tables_are_joined_to_the_tile() -> None:
    whole = encode()
    tables = b"\xff\xd8" + JFIF + b"".join(d for m, d in segments(whole) if m in (0xDB, 0xC4))
    tile = without(whole, 0xDB, 0xC4)
    with pytest.raises(UnusualJpegError):
        decode_tile(restate_tile(tile, b"", (48, 32), rgb=True), (48, 32))
    joined = restate_tile(tile, join_tables(tables + b"\xff\xd9"), (48, 32), rgb=True)
    alone = restate_tile(whole, b"", (48, 32), rgb=True)
    np.testing.assert_array_equal(decode_tile(joined, (48, 32)), decode_tile(alone, (48, 32)))


@pytest.mark.parametrize(
    "tables",
    [
        b"\0",
        b"\xff\xd8",
        b"\xff\xd8\xff\xdb\xff\xff\0",
        b"\xff\xd8\xff\xdd\0\4\0\1\xff\xd9",
        encode(),
    ],
    ids=["no JPEG", "no end", "cut", "a restart interval", "an image"],
)
def test_tables_that_are_more_or_less_than_tables_are_refused(tables: bytes) -> None:
    with pytest.raises(UnusualJpegError):
        join_tables(tables)


@pytest.mark.parametrize("size", [(32, 48), (48, 33), (65500, 65500)])
def test_a_tile_of_another_size_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(UnusualJpegError, match="a frame that begins"):
        restate_tile(encode(), b"", size, rgb=True)


@given(cut=st.integers(0, 700))
def test_a_header_cut_anywhere_is_refused(cut: int) -> None:
    whole = encode()
    header = whole[: whole.index(b"\xff\xda") + 2]
    with pytest.raises(UnusualJpegError):
        restate_tile(header[: min(cut, len(header))], b"", (48, 32), rgb=True)


@given(data=st.binary(max_size=200), tables=st.binary(max_size=40))
def test_random_bytes_are_refused(data: bytes, tables: bytes) -> None:
    with pytest.raises(UnusualJpegError):
        restate_tile(b"\xff\xd8" + data, b"", (48, 32), rgb=True)
    with pytest.raises(UnusualJpegError):
        decode_tile(b"\xff\xd8" + tables, (48, 32))


def test_places_are_openslides() -> None:
    assert place_region((8, 12), 4.0, (9, 9)) == (2, 3)
    assert place_region((8, 13), 4.0, (9, 9)) is None
    assert place_region((8, 12), 4.0001, (9, 9)) is None
    assert place_region((-9, -3), 4.0, (9, 9)) == (-2, 0)
    assert place_region((7, -7), 1.0, (9999, 9)) == (7, -7)
    assert place_region((8, 12), 4.0, (9, 4097)) is None


@given(
    start=st.integers(-60, 130),
    length=st.integers(1, 90),
    end=st.integers(1, 100),
    tile=st.integers(1, 40),
)
def test_cuts_cover_what_lies_within_and_nothing_else(
    start: int, length: int, end: int, tile: int
) -> None:
    level = np.arange(-(-end // tile) * tile) + 1
    region = np.zeros(length, int)
    cuts = cut_axis(start, length, end, tile)
    for cut in cuts:
        region[cut.region] = level[cut.number * tile : (cut.number + 1) * tile][cut.tile]
    places = np.arange(start, start + length)
    wanted = np.where((places >= 0) & (places < end), places + 1, 0)
    np.testing.assert_array_equal(region, wanted)
    assert covered(cuts) == (wanted > 0).sum()
    assert all(cut.region.start < cut.region.stop for cut in cuts)


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    cache = TileCache(limit_bytes=30)
    cache.need(1, 1000)
    tiles = [np.full((2, 5, 1), n, np.uint8) for n in range(4)]
    keys = [Key(1, 0, n, 0) for n in range(4)]
    for key, tile in zip(keys[:3], tiles, strict=False):
        cache.put(key, tile)
    assert cache.get(keys[0]) is tiles[0]
    cache.put(keys[3], tiles[3])
    assert cache.get(keys[1]) is None
    assert [cache.get(keys[n]) is not None for n in (0, 2, 3)] == [True] * 3
    cache.put(keys[3], tiles[3])
    assert cache.bytes_held == 30


def test_the_cache_takes_no_more_than_its_owners_need() -> None:
    cache = TileCache(limit_bytes=1000)
    tile = np.zeros(10, np.uint8)
    cache.need(1, 20)
    cache.need(2, 10)
    for n in range(9):
        cache.put(Key(1 + n % 2, 0, n, 0), tile)
    assert cache.bytes_held == 30
    cache.forget(1)
    assert cache.bytes_held < 30
    cache.put(Key(2, 0, 99, 0), tile)
    assert cache.bytes_held == 10
    cache.forget(2)
    assert cache.bytes_held == 0


def layout_of(path: Path, vendor: str = "aperio", **options: Any) -> tuple[Level, ...]:
    sizes = options.get("sizes", ((1013, 771), (253, 192)))
    return read_layout(
        io.BytesIO(path.read_bytes()), vendor, sizes, options.get("tiles", ((240, 240),) * 2)
    )


def test_levels_are_the_tiled_directories(tmp_path: Path) -> None:
    levels = layout_of(write_jpeg_slide(tmp_path / "a.svs", RGB))
    assert [level.size for level in levels] == [(1013, 771), (253, 192)]
    codes = [level.arrays[0].codes for level in levels]
    assert all(isinstance(each, IndexedTiles) for each in codes)
    assert [each.offsets.shape for each in codes] == [(4, 5), (1, 2)]  # type: ignore[attr-defined]
    assert (codes[0].columns, codes[0].rgb, levels[0].complete) == (5, True, True)  # type: ignore[attr-defined]
    assert codes[0].tables.startswith(b"\xff\xdb")  # type: ignore[attr-defined]


def test_generic_levels_are_the_reduced_images_by_width(tmp_path: Path) -> None:
    kind = replace(RGB, aperio=False, factors=(1, 4, 2))
    path = write_jpeg_slide(tmp_path / "a.tif", kind)
    sizes = ((1013, 771), (506, 385), (253, 192))
    found = layout_of(path, "generic-tiff", sizes=sizes, tiles=((240, 240),) * 3)
    assert tuple(level.size for level in found) == sizes


@pytest.mark.parametrize(
    ("tag", "value", "complaint"),
    [
        ("Compression", 8, "compression"),
        ("PhotometricInterpretation", 1, "photometric"),
        ("TileWidth", 256, "levels|tiles"),
        ("ImageLength", 2000, "tiles, where"),
        ("TileWidth", 40_000, "tile width"),
    ],
)
def test_a_page_that_is_not_as_known_is_not_recognised(
    tmp_path: Path, tag: str, value: int, complaint: str
) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", RGB)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[tag].overwrite(value)
    with pytest.raises(UnrecognisedError, match=complaint):
        layout_of(path)


def test_a_slide_that_openslide_sees_differently_is_not_recognised(tmp_path: Path) -> None:
    path = write_jpeg_slide(tmp_path / "a.svs", RGB)
    with pytest.raises(UnrecognisedError, match="where OpenSlide finds"):
        layout_of(path, sizes=((1013, 771),))
    with pytest.raises(UnrecognisedError, match="where OpenSlide finds"):
        layout_of(path, tiles=((240, 256),) * 2)
    with pytest.raises(UnrecognisedError, match="format philips"):
        layout_of(path, "philips")


def test_of_several_threads_one_decodes_a_tile_and_each_has_its_own_error() -> None:
    cache, calls = TileCache(limit_bytes=1000), []
    cache.need(1, 1000)
    key, tile, begun = Key(1, 0, 0, 0), np.zeros((2, 2, 3), np.uint8), threading.Barrier(4)

    def decode() -> npt.NDArray[np.uint8]:
        calls.append(1)
        time.sleep(0.05)
        if len(calls) == 1:
            raise ValueError("the first")
        return tile

    def ask(_: int) -> object:
        begun.wait(10)
        try:
            return cache.provide(key, decode)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert len(calls) == 2
    assert [one for one in found if isinstance(one, str)] == ["the first"]
    assert sum(one is tile for one in found) == 3
    assert cache.provide(Key(1, 0, 1, 0), lambda: None) is None
    assert cache.provide(key, decode) is tile
