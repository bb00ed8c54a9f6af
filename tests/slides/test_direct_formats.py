"""Makers' formats by the direct reader: OpenSlide's pixels to the byte, or OpenSlide itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.direct import first_look
from histo_ray.slides.direct.dicom_file import DicomFile
from histo_ray.slides.direct.layout import Layout, UnrecognisedError
from histo_ray.slides.direct.ndpi_strips import StripTiles
from histo_ray.slides.direct.region import place_area
from histo_ray.slides.direct.vendor_tiff import parse_xml
from histo_ray.slides.openslide_reader import OpenSlideReader
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.pixels import read_tiles
from testing.dicom_slides import write_dicom
from testing.jpeg_slides import Kind
from testing.maker_slides import YCBCR, write_bif, write_philips, write_scn
from testing.ndpi_slides import write_ndpi
from tests.slides.direct_comparison import differing_bytes, open_both

RGB = Kind(tile=(128, 112))
FULL_COLOUR = replace(YCBCR, subsampling=(1, 1))
OVERLAPPING = (((301, 203), (500, 390)), ((700, 411), (470, 350)))
NO_AREAS: tuple[()] = ()
MADE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "SCN, two areas": ("leica", lambda f: write_scn(f / "a.scn")),
    "SCN, areas that overlap": ("leica", lambda f: write_scn(f / "a.scn", OVERLAPPING, kind=RGB)),
    "Philips": ("philips", lambda f: write_philips(f / "a.tiff")),
    "Philips, sparse": (
        "philips",
        lambda f: write_philips(f / "a.tiff", kind=RGB, missing=((0, 3), (1, 0), (2, 1))),
    ),
    "BIF, two areas": ("ventana", lambda f: write_bif(f / "a.bif")),
    "Ventana TIFF": ("ventana", lambda f: write_bif(f / "a.tif", NO_AREAS)),
    "NDPI, 4:2:2": ("hamamatsu", lambda f: write_ndpi(f / "a.ndpi")),
    "NDPI, 4:4:4, one column": (
        "hamamatsu",
        lambda f: write_ndpi(
            f / "a.ndpi", kind=replace(YCBCR, subsampling=(1, 1)), interval_px=1536
        ),
    ),
    "NDPI, wider than a JPEG can be": (
        "hamamatsu",
        lambda f: write_ndpi(f / "a.ndpi", ((70_400, 24), (17_600, 16)), interval_px=1760),
    ),
    "DICOM, full": ("dicom", lambda f: write_dicom(f / "d", factors=(1, 2, 4))),
    "DICOM, no offset table, RGB": (
        "dicom",
        lambda f: write_dicom(f / "d", kind=RGB, table="none"),
    ),
    "DICOM, sparse, large offsets": (
        "dicom",
        lambda f: write_dicom(
            f / "d", full=False, table="extended", missing=((0, 3), (0, 0), (1, 2)), undefined=True
        ),
    ),
}
"""By what is shown in a test's name: OpenSlide's name of the maker, and what writes the slide."""


@pytest.fixture(scope="module", params=list(MADE), ids=list(MADE))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    vendor, write = MADE[request.param]
    path = write(tmp_path_factory.mktemp("made"))
    assert openslide.OpenSlide(str(path)).properties["openslide.vendor"] == vendor
    return path


def test_every_region_is_openslides_to_the_byte(made: Path) -> None:
    assert differing_bytes(made, (256, 192)) == 0


def test_level_0_is_read_without_openslide(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_slide(str(made), mpp=0.25) as slide:
        assert slide.reader == "direct"
        monkeypatch.delattr(OpenSlideReader, "read_into")
        assert slide.read((0, 0), 0, slide.size).shape == (*slide.size[::-1], 3)
        slide.read((-31, -17), 0, (300, 200))


def test_what_is_said_of_the_slide_is_the_same(made: Path) -> None:
    direct, plain = open_both(made)
    with direct, plain:
        for name in ("pyramid", "level_sizes", "mpp", "vendor", "background", "fingerprint"):
            assert getattr(direct, name) == getattr(plain, name)
        assert direct.levels_left_out == plain.levels_left_out
        assert direct._reader.stated_mpp == plain._reader.stated_mpp


@pytest.mark.parametrize("name", ["SCN, two areas", "NDPI, 4:2:2", "DICOM, full"])
def test_batches_of_tiles_are_the_same(tmp_path: Path, name: str) -> None:
    path = MADE[name][1](tmp_path)
    batches = []
    for reader in ("direct", "openslide"):
        with open_slide(str(path), mpp=0.25, reader=reader) as slide:
            batches.append([b.pixels for b in read_tiles(slide, 0.5, tile_px=64, batch_size=7)])
    assert len(batches[0]) > 1
    for ours, theirs in zip(*batches, strict=True):
        np.testing.assert_array_equal(ours, theirs)


LEFT: dict[str, Callable[[Path], Path]] = {
    "tiles that overlap": lambda f: write_bif(f / "a.bif", overlap=-3),
    "no restart markers at the places stated": lambda f: _shift_starts(write_ndpi(f / "a.ndpi")),
}


@pytest.mark.parametrize("write", LEFT.values(), ids=LEFT)
def test_what_is_not_understood_is_left_to_openslide(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path)
    with open_slide(str(path), mpp=0.25) as slide:
        assert slide.reader == "openslide"
    with pytest.raises(SlideError, match="leave the reader at auto"):
        open_slide(str(path), mpp=0.25, reader="direct")


def _shift_starts(path: Path) -> Path:
    """The index of the middle intervals is one byte late, so OpenSlide refuses them."""
    with tifffile.TiffFile(path, is_ndpi=True) as tiff:
        tag = tiff.pages.first.tags[65426]
        at, starts = tag.valueoffset, np.asarray(tag.value, "<u4")
    data = bytearray(path.read_bytes())
    half = len(starts) // 2
    shifted = starts[half:] + 1
    data[at + 4 * half : at + 4 * len(starts)] = shifted.astype("<u4").tobytes()
    path.write_bytes(data)
    return path


def test_an_ndpi_without_an_index_is_read_by_openslide_to_the_same_pixels(tmp_path: Path) -> None:
    path = write_ndpi(tmp_path / "a.ndpi", index=False)
    assert differing_bytes(path, (256, 192)) == 0


def test_a_missing_file_of_a_dicom_slide_is_missing_for_both(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "d")
    path.with_name("level-1.dcm").unlink()
    path.with_name("notes.txt").write_text("no DICOM")
    assert differing_bytes(path) == 0


def test_a_level_that_looks_otherwise_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_philips(tmp_path / "a.tiff")
    read = Layout.__new__

    def mislead(cls: type[Layout], levels: tuple, files: tuple = ()) -> Layout:  # type: ignore[type-arg]
        codes = levels[1].arrays[0].codes
        codes.offsets = codes.offsets[::-1].copy()
        codes.counts = codes.counts[::-1].copy()
        return read(cls, levels, files)

    monkeypatch.setattr(Layout, "__new__", mislead)
    with pytest.raises(SlideError, match="level 1 looks otherwise than OpenSlide shows it"):
        open_slide(str(path), mpp=0.25, reader="direct")


def test_areas_begin_at_whole_px_with_the_fraction_cut_off() -> None:
    assert place_area((101, 203), 4.0, (10, 10), (30, 7)) == (-4, 43)
    assert place_area((-9, 0), 4.0, (10, 10), (30, 7)) == (-32, -7)
    assert place_area((0, 0), 4.0, (5000, 10), (30, 7)) is None


@pytest.mark.parametrize("text", ["<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<a>", None, 7])
def test_xml_with_entities_or_damage_is_not_parsed(text: object) -> None:
    with pytest.raises(UnrecognisedError):
        parse_xml(text)


def test_sequences_without_an_end_are_refused_in_time(tmp_path: Path) -> None:
    nested = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 4000
    path = tmp_path / "deep"
    path.write_bytes(nested)
    with path.open("rb") as file, pytest.raises(UnrecognisedError, match="without a length"):
        list(DicomFile(file).elements(0, len(nested)))


def test_strips_of_a_row_of_tiles_are_fetched_once(tmp_path: Path) -> None:
    path = write_ndpi(tmp_path / "a.ndpi", ((1536, 608),), interval_px=768)
    with open_slide(str(path), mpp=0.25) as slide:
        codes = slide._reader._levels[0].arrays[0].codes  # type: ignore[attr-defined]
        assert isinstance(codes, StripTiles)
        data, fetched = path.read_bytes(), []

        def fetch(offset: int, size: int) -> bytes:
            fetched.append(size)
            return data[offset : offset + size]

        assert codes.read_jpeg(fetch, 0, 1).size == (768, 256)
        assert codes.read_jpeg(fetch, 1, 1).size == (768, 256)
        assert codes.read_jpeg(fetch, 1, 2).size == (768, 96)
        assert len(fetched) == 2


def test_the_first_look_reaches_the_last_px(tmp_path: Path) -> None:
    path = write_philips(tmp_path / "a.tiff")
    known = OpenSlideReader(str(path), "S1")
    for level, downsample in enumerate(known.downsamples):
        corner, size = list(first_look._places(known, level, downsample))[-1]
        ends = [int(at / downsample) + px for at, px in zip(corner, size, strict=True)]
        assert ends == list(known.level_sizes[level])
    known.close()
