"""Files that nothing here reads, and slides without their other files, are named."""

from pathlib import Path

import pytest
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.reader import open_slide
from tests.slides.tiff_cases import CM, RGB


def refusal(path: Path, reader: str = "auto") -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(str(path), mpp=0.25, reader=reader)
    assert "\n" not in caught.value.problem
    return caught.value.problem


@pytest.mark.parametrize("tile", [None, (64, 96)])
@pytest.mark.parametrize("name", ["slide.vsi", "SLIDE.VSI"])
def test_the_preview_in_a_vsi_is_not_the_slide(
    tmp_path: Path, tile: tuple[int, int] | None, name: str
) -> None:
    path = tmp_path / name
    tifffile.imwrite(path, RGB, photometric="rgb", tile=tile, compression="jpeg", **CM)
    for reader in ("auto", "direct", "openslide", "image"):
        said = refusal(path, reader)
        assert f"its slide lies in _{path.stem}_/stackN/frame_t.ets, and that folder is not" in said
        assert "bfconvert" in said
    (tmp_path / f"_{path.stem}_" / "stack1").mkdir(parents=True)
    said = refusal(path)
    assert "not beside it" not in said
    assert "bfconvert" in said


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a.czi", b"ZISRAWFILE", "OpenSlide lacks some features of CZI"),
        ("a.tif", b"ZISRAWFILE", "some features of CZI"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        ("a.j2k", b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
        ("a.jxr", b"II\xbc\x01", "a JPEG XR image"),
        ("a.lif", b"\x70\0\0\0\x2a", "a Leica LIF"),
        ("a.nd2", b"\xda\xce\xbe\x0a", "a Nikon ND2"),
        ("a.zvi", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Zeiss ZVI"),
        ("a.isyntax", b"<DataObject Ob", "a Philips iSyntax"),
        ("a.kfb", b"KFB", "a scanner's own format"),
        ("a.ets", b"SIS\0", "the pixel file of an Olympus VSI"),
        ("a.dcm", b"\0" * 128 + b"DICM" + b"\0" * 99, "does not take this DICOM file"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_a_converter(
    tmp_path: Path, name: str, head: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(head + bytes(600))
    said = refusal(path)
    assert words in said
    assert "copy the file again" not in said


@pytest.mark.parametrize("suffix", [".lsm", ".zvi", ".ets", ".nd2"])
def test_a_tiff_under_the_suffix_of_such_a_format_is_refused_too(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    tifffile.imwrite(path, RGB, photometric="rgb", **CM)
    assert "which" in refusal(path)


def test_a_mirax_slide_without_its_folder_names_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "case-7.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(600))
    assert "its slide lies in the folder case-7, which is not beside it" in refusal(path)
    (tmp_path / "case-7").mkdir()
    assert "its folder case-7 has no Slidedat.ini" in refusal(path)


def test_a_hamamatsu_index_names_the_images_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.vms"
    text = "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\n"
    path.write_text(f"{text}ImageFile=a_0_0.jpg\nMapFile=a_map.jpg\n", encoding="utf-8")
    said = refusal(path)
    assert "(a_0_0.jpg, a_map.jpg)" in said
    assert "copy them to where the file is" in said


def test_a_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    for codec in ("jpegxr", "webp", "jpeg2000"):
        for tile in (None, (64, 96)):
            path = tmp_path / "a.tif"
            tifffile.imwrite(path, RGB, photometric="rgb", tile=tile, compression=codec, **CM)
            said = refusal(path)
            assert f"compressed by {codec.upper()}" in said
            assert "copy the file again" not in said


def test_a_tiff_without_a_maker_may_bear_a_scanners_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 96), compression="deflate", **CM)
    with open_slide(str(path)) as slide:
        assert slide.vendor == "generic-tiff"
    tifffile.imwrite(path, RGB, photometric="rgb", **CM)  # strips: what is left of a cut slide
    assert "OpenSlide does not find an Aperio SVS in it" in refusal(path)
