import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.slides.local_copy import bring_here
from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.storage import locate


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
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir()), "the copy is removed when the slide is closed"
    with pytest.raises(SlideError, match=r"slide 'none': s3://slides/a/none\.svs: cannot be read"):
        open_slide(f"{s3_bucket}/a/none.svs")
    assert not list(tmp_path.iterdir())
    put(f"{s3_bucket}/a/bad.csv", b"slide_id,path\nS1,none.tif\n")
    with pytest.raises(ConfigError, match=r"line 2: path 's3://slides/a/none\.tif': no such file"):
        read_manifest(f"{s3_bucket}/a/bad.csv")


def test_an_mrxs_counts_with_its_index(s3_bucket: str) -> None:
    put(f"{s3_bucket}/m/S1.mrxs", b"picture")
    put(f"{s3_bucket}/m/S1/Slidedat.ini", b"[GENERAL]")
    with pytest.raises(SlideError, match=r"S1\.mrxs"):  # found, but no whole MRXS
        open_slide(f"{s3_bucket}/m/S1.mrxs")
    local = fingerprint_file(f"{s3_bucket}/m/S1.mrxs")
    put(f"{s3_bucket}/m/S1/Slidedat.ini", b"[GENERAL]2")
    assert fingerprint_file(f"{s3_bucket}/m/S1.mrxs") != local


def test_what_belongs_to_a_slide_is_copied_along(s3_bucket: str) -> None:
    put(f"{s3_bucket}/m/S1.mrxs", b"picture")
    put(f"{s3_bucket}/m/S1/Data0000.dat", b"data")
    put(f"{s3_bucket}/d/1.dcm", b"one")
    put(f"{s3_bucket}/d/2.dcm", b"two")
    with ExitStack() as stack:
        mrxs = bring_here(f"{s3_bucket}/m/S1.mrxs", stack)
        assert (mrxs.parent / "S1" / "Data0000.dat").read_bytes() == b"data"
        dicom = bring_here(f"{s3_bucket}/d/2.dcm", stack)
        assert dicom.read_bytes() == b"two"
        assert (dicom.parent / "1.dcm").read_bytes() == b"one"
    assert not mrxs.exists()
