import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides.direct import remote
from histo_ray.slides.direct.remote import RemoteFile
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.slides.local_copy import bring_here
from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.storage import locate
from testing.jpeg_slides import KINDS, write_jpeg_slide


def put(uri: str, data: bytes) -> None:
    system, path = locate(uri)
    with system.open_output_stream(path) as stream:
        stream.write(data)


def test_slides_and_manifest_are_read_from_an_object_store(
    s3_bucket: str,
    tiled_tiff: Path,
    gradient: npt.NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put(f"{s3_bucket}/a/S1.tif", tiled_tiff.read_bytes())
    put(f"{s3_bucket}/a/m.csv", b"slide_id,path\nS1,S1.tif\nS2,s3://slides/a/S1.tif\n")
    slides = read_manifest(f"{s3_bucket}/a/m.csv")
    assert [slide.path for slide in slides] == ["s3://slides/a/S1.tif"] * 2
    with open_slide(slides[0].path) as slide:
        assert slide.slide_id == "S1"
        assert slide.mpp == pytest.approx((0.5, 0.25))
        np.testing.assert_array_equal(slide.read((600, 400), 0, (9, 5)), gradient[400:405, 600:609])
        assert slide.fingerprint == fingerprint_file(slides[0].path)
        assert slide.fingerprint == fingerprint_file(str(tiled_tiff))
    (kept,) = tmp_path.rglob("S1.tif")
    assert kept.read_bytes() == tiled_tiff.read_bytes(), "it stays for the next who opens it"
    with pytest.raises(SlideError, match=r"slide 'none': s3://slides/a/none\.svs cannot be read"):
        open_slide(f"{s3_bucket}/a/none.svs")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["S1.tif"]
    put(f"{s3_bucket}/a/bad.csv", b"slide_id,path\nS1,none.tif\n")
    with pytest.raises(ConfigError, match=r"line 2: path 's3://slides/a/none\.tif': no such file"):
        read_manifest(f"{s3_bucket}/a/bad.csv")


def test_an_mrxs_counts_with_its_index(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put(f"{s3_bucket}/m/S1.mrxs", b"picture")
    put(f"{s3_bucket}/m/S1/Slidedat.ini", b"[GENERAL]")
    with pytest.raises(SlideError, match=r"S1\.mrxs"):  # found, but no whole MRXS
        open_slide(f"{s3_bucket}/m/S1.mrxs")
    local = fingerprint_file(f"{s3_bucket}/m/S1.mrxs")
    put(f"{s3_bucket}/m/S1/Slidedat.ini", b"[GENERAL]2")
    assert fingerprint_file(f"{s3_bucket}/m/S1.mrxs") != local


def test_what_belongs_to_a_slide_is_copied_along(s3_bucket: str, tmp_path: Path) -> None:
    cache = SlideCache(tmp_path)
    put(f"{s3_bucket}/m/S1.mrxs", b"picture")
    put(f"{s3_bucket}/m/S1/Data0000.dat", b"data")
    put(f"{s3_bucket}/d/1.dcm", b"one")
    put(f"{s3_bucket}/d/2.dcm", b"two")
    with ExitStack() as stack:
        mrxs = bring_here(f"{s3_bucket}/m/S1.mrxs", stack, cache)
        assert (mrxs.parent / "S1" / "Data0000.dat").read_bytes() == b"data"
        dicom = bring_here(f"{s3_bucket}/d/2.dcm", stack, cache)
        assert dicom.read_bytes() == b"two"
        assert (dicom.parent / "1.dcm").read_bytes() == b"one"
    put(f"{s3_bucket}/m/S1/Data0000.dat", b"other")
    with ExitStack() as stack:
        changed = bring_here(f"{s3_bucket}/m/S1.mrxs", stack, cache)
        assert (changed.parent / "S1" / "Data0000.dat").read_bytes() == b"other"


@pytest.mark.parametrize(
    "name", ["aperio, RGB, no Adobe marker, shared tables", "generic, YCbCr 4:2:0, BigTIFF"]
)
def test_a_jpeg_slide_is_read_where_it_lies(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 50_000)
    monkeypatch.setattr(remote, "BLOCKS_HELD", 3)
    local = write_jpeg_slide(tmp_path / "S1.svs", KINDS[name])
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    uri = f"{s3_bucket}/a/S1.svs"
    put(uri, local.read_bytes())
    with (
        open_slide(uri, mpp=0.5) as far,
        open_slide(str(local), mpp=0.5, reader="openslide") as near,
    ):
        assert (far.reader, far.pyramid, far.vendor) == ("direct", near.pyramid, near.vendor)
        assert far.fingerprint == near.fingerprint
        fetched = far._reader._sources[0].bytes_fetched  # type: ignore[attr-defined]
        far.read((700, 500), 0, (90, 80))
        assert fetched < far._reader._sources[0].bytes_fetched < local.stat().st_size  # type: ignore[attr-defined]
        assert sum(file.stat().st_blocks for file in copies.rglob("*.svs")) * 512 < 200_000
        for corner, level, size in (
            ((-20, -30), 0, (300, 280)),
            ((900, 700), 0, (300, 280)),
            ((0, 0), 0, near.size),
            ((0, 0), 1, near.level_sizes[1]),
            ((501, 333), 1, (200, 200)),
            ((-50, 303), 1, (200, 200)),
        ):
            np.testing.assert_array_equal(
                far.read(corner, level, size), near.read(corner, level, size)
            )
    assert not list(copies.iterdir())


def test_a_damaged_remote_slide_fails_as_a_local_one_does(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    local = write_jpeg_slide(tmp_path / "S1.svs", KINDS["aperio, YCbCr 4:2:0"])
    data = bytearray(local.read_bytes())
    with tifffile.TiffFile(local) as tiff:
        page = tiff.pages.first
        start, length = page.dataoffsets[3], page.databytecounts[3]
    data[start + length // 2 : start + length] = bytes(length - length // 2)
    put(f"{s3_bucket}/a/S1.svs", bytes(data))
    with open_slide(f"{s3_bucket}/a/S1.svs") as slide:
        assert slide.reader == "direct"
        slide.read((0, 0), 0, (50, 50))
        with pytest.raises(SlideError):
            slide.read((800, 0), 0, (50, 50))
    put(f"{s3_bucket}/a/cut.svs", bytes(data[: len(data) // 2]))
    with pytest.raises(SlideError):
        open_slide(f"{s3_bucket}/a/cut.svs")


def test_ranges_are_fetched_in_blocks_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 100)
    monkeypatch.setattr(remote, "BLOCKS_HELD", 4)
    data = np.random.default_rng(0).integers(0, 256, 1234, np.uint8).tobytes()
    (tmp_path / "a").write_bytes(data)
    file = RemoteFile(*locate(str(tmp_path / "a")))
    assert file.read_at(350, 20) == data[350:370]
    assert file.read_at(310, 180) == data[310:490]
    assert file.bytes_fetched == 200
    assert file.read_at(0, 2000) == data
    assert file.bytes_fetched == 1234
    assert file.read_at(1200, 100) == data[1200:]
    assert file.read_at(2000, 5) == b""
    assert file.bytes_fetched == 1234
    assert file.read_at(0, 1) == data[:1]
    assert file.bytes_fetched == 1334
    file.close()
