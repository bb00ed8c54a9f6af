import pickle
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides import plain_image
from histo_ray.slides.reader import open_slide

Pixels = npt.NDArray[np.uint8]
WHITE = [255, 255, 255]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(str(path), slide_id="S1", mpp=0.5, **options)
    assert "\n" not in caught.value.problem
    assert pickle.loads(pickle.dumps(caught.value)).problem == caught.value.problem
    return caught.value.problem


def read_everything(path: Path) -> None:
    with open_slide(str(path), mpp=0.5) as slide:
        for level, size in enumerate(slide.level_sizes):
            slide.read((0, 0), level, size)


def test_a_tiled_tiff_goes_through_openslide_with_its_own_resolution(tiled_tiff: Path) -> None:
    with open_slide(str(tiled_tiff), fallback_mpp=9) as slide:
        assert (slide.reader, slide.vendor) == ("openslide", "generic-tiff")
        assert slide.mpp == pytest.approx((0.5, 0.25))
        assert slide.mpp_source == "tiff-tags"
        assert slide.level_sizes == ((700, 420), (175, 105))
        assert slide.read((0, 0), 1, (175, 105)).shape == (105, 175, 3)


def test_a_strip_tiff_states_its_resolution_and_a_png_does_not(
    tmp_path: Path, gradient: Pixels
) -> None:
    resolution: dict[str, Any] = {
        "resolution": (25_400 / 0.5, 25_400 / 0.25),
        "resolutionunit": "INCH",
    }
    tifffile.imwrite(tmp_path / "a.tif", gradient, photometric="rgb", **resolution)
    with open_slide(str(tmp_path / "a.tif")) as slide:
        assert (slide.reader, slide.vendor, slide.mpp_source) == ("image", "tiff", "tiff-tags")
        assert slide.mpp == pytest.approx((0.5, 0.25))
    Image.fromarray(gradient).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    with pytest.raises(
        SlideError,
        match=r"states no resolution \(mpp\); give it in the manifest column mpp, or with --slide",
    ):
        open_slide(str(tmp_path / "a.png"))
    with open_slide(str(tmp_path / "a.png"), fallback_mpp=0.4) as slide:
        assert (slide.mpp, slide.mpp_source) == ((0.4, 0.4), "flag")


def test_screen_resolution_in_a_tiff_is_named_and_refused(tmp_path: Path, gradient: Pixels) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", gradient, photometric="rgb", resolution=(72, 72), resolutionunit="INCH"
    )
    with pytest.raises(SlideError, match=r"no usable resolution \(tiff-tags says 352\.778"):
        open_slide(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_plain_images_of_any_8_bit_mode_become_rgb(
    tmp_path: Path, gradient: Pixels, mode: str
) -> None:
    image = Image.fromarray(gradient).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    with open_slide(str(path), mpp=0.5) as slide:
        region = slide.read((100, 50), 0, (64, 32))
    wanted = np.asarray(image.convert("RGB"))[50:82, 100:164]
    assert np.abs(region.astype(int) - wanted).max() <= (12 if mode == "CMYK" else 0)


def test_transparency_becomes_white(tmp_path: Path, gradient: Pixels) -> None:
    image = Image.fromarray(gradient).convert("RGBA")
    image.putpixel((699, 419), (0, 0, 0, 0))
    image.save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "a.tif", np.asarray(image), photometric="rgb", extrasamples=["unassalpha"]
    )
    for name in ("a.png", "a.tif"):
        with open_slide(str(tmp_path / name), mpp=0.5) as slide:
            assert slide.read((699, 419), 0, (1, 1)).tolist() == [[WHITE]]
            assert slide.read((698, 419), 0, (1, 1)).tolist() == [[gradient[419, 698].tolist()]]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_palette_and_planar_tiffs_become_rgb(
    tmp_path: Path, gradient: Pixels, planar: Literal["contig", "separate"]
) -> None:
    stored = gradient if planar == "contig" else np.moveaxis(gradient, -1, 0)
    tifffile.imwrite(tmp_path / "rgb.tif", stored, photometric="rgb", planarconfig=planar)
    tifffile.imwrite(tmp_path / "grey.tif", 255 - gradient[..., 0], photometric="miniswhite")
    table = np.zeros((3, 256), np.uint16)
    table[0] = np.arange(256) * 257
    tifffile.imwrite(
        tmp_path / "palette.tif", gradient[..., 0], photometric="palette", colormap=table
    )
    wanted = {
        "rgb.tif": gradient[70, 600].tolist(),
        "grey.tif": [int(gradient[70, 600, 0])] * 3,
        "palette.tif": [int(gradient[70, 600, 0]), 0, 0],
    }
    for name, colour in wanted.items():
        with open_slide(str(tmp_path / name), mpp=0.5) as slide:
            assert slide.size == (700, 420)
            assert slide.read((600, 70), 0, (1, 1)).tolist() == [[colour]]


def test_images_that_are_not_8_bit_rgb_are_refused(tmp_path: Path, gradient: Pixels) -> None:
    deep = gradient[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert "16 bits a channel, not 8; convert it" in refusal(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "deep.tif", np.stack([deep] * 3, -1), photometric="rgb")
    assert "16 bits a sample, not 8" in refusal(tmp_path / "deep.tif")
    stack = np.zeros((5, 40, 60), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    assert "several images of 60 x 40 px" in refusal(tmp_path / "stack.tif")


def test_a_plain_image_too_big_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    crc = zlib.crc32(chunk)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", crc)
    png += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "big.png").write_bytes(png)
    text = refusal(tmp_path / "big.png")
    assert "a plain image of 30000 x 20000 px" in text
    assert "convert it to a tiled pyramid" in text
    monkeypatch.setattr(plain_image, "MAX_PIXELS", 100)
    tifffile.imwrite(tmp_path / "big.tif", np.zeros((11, 10, 3), np.uint8), photometric="rgb")
    assert "a plain image of 10 x 11 px" in refusal(tmp_path / "big.tif")


def test_files_that_are_no_slide_get_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("slide_id,path\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("slide_id,path\n", encoding="utf-8")
    assert "OpenSlide does not find an Aperio SVS in it" in refusal(tmp_path / "a.svs")
    assert "nor a PNG, JPEG or TIFF" in refusal(tmp_path / "a.txt")
    (tmp_path / "empty.svs").touch()
    assert "an empty file" in refusal(tmp_path / "empty.svs")
    assert "No such file" in refusal(tmp_path / "gone.svs")
    (tmp_path / "folder.svs").mkdir()
    assert "is a folder, not a slide file" in refusal(tmp_path / "folder.svs")
    assert "OpenSlide cannot read it" in refusal(tmp_path / "a.svs", reader="openslide")
    assert "not a PNG, JPEG or TIFF" in refusal(tmp_path / "a.svs", reader="image")


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
def test_an_image_cut_anywhere_is_refused_in_one_line(
    tmp_path: Path, gradient: Pixels, kind: str
) -> None:
    whole = tmp_path / f"whole.{kind}"
    Image.fromarray(gradient).save(whole)
    data = whole.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        cut = tmp_path / f"cut.{kind}"
        cut.write_bytes(data[: int(len(data) * share)])
        text = refusal(cut)
        assert str(cut) in text
        assert "copy the file again" in text


def test_a_tiled_tiff_cut_anywhere_fails_when_opened_or_read(
    tmp_path: Path, tiled_tiff: Path
) -> None:
    data = tiled_tiff.read_bytes()
    for share in (0.01, 0.3, 0.6, 0.9):
        cut = tmp_path / "cut.tif"
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SlideError, match=r"cut\.tif"):
            read_everything(cut)


def test_readers_are_chosen_by_name(tiled_tiff: Path) -> None:
    with open_slide(str(tiled_tiff), reader="image") as slide:
        assert slide.reader == "image"
        assert slide.level_sizes == ((700, 420),)
    with open_slide(str(tiled_tiff), reader="openslide") as slide:
        assert slide.reader == "openslide"
    with pytest.raises(ConfigError, match="unknown slide reader 'fast': must be auto, direct"):
        open_slide(str(tiled_tiff), reader="fast")


def test_real_slides_open_and_a_truncated_one_fails(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "slides" / "CMU-1-Small-Region.svs"
    with open_slide(str(file)) as slide:
        assert (slide.size, slide.mpp, slide.mpp_source) == ((2220, 2967), (0.499, 0.499), "file")
        assert (slide.vendor, slide.reader) == ("aperio", "direct")
        corner = slide.read((2200, 2950), 0, (40, 30))
        assert corner[-1, -1].tolist() == WHITE
        assert corner[0, 0].tolist() != [0, 0, 0]
    with open_slide(str(real_data / "slides" / "fluorescence-DAPI.ndpi")) as slide:
        assert slide.mpp == pytest.approx((0.22818, 0.22818), abs=1e-5)
        assert len(slide.level_sizes) == 7
    data = file.read_bytes()
    for share in (0.001, 0.2, 0.5, 0.8, 0.97):
        cut = tmp_path / "cut.svs"
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SlideError):
            read_everything(cut)
