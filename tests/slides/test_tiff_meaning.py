"""Every form of a TIFF gives the colours that were meant, or a refusal with the reason."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from histo_ray.errors import SlideError
from histo_ray.slides import tiff_meaning
from histo_ray.slides.reader import open_slide
from histo_ray.slides.tiff_meaning import MeaningError, check_images, check_storage, read_colours
from tests.slides.tiff_cases import (
    ALPHA,
    BITS,
    CM,
    CODECS,
    FORMS,
    GREY,
    HEIGHT,
    LAYOUTS,
    OVER_WHITE,
    RGB,
    RGBA,
    WIDTH,
)

Pixels = npt.NDArray[np.uint8]
LOSSLESS = (None, "lzw", "deflate", "packbits", "zstd")


def colours_of(path: Path, **options: Any) -> Pixels:
    with open_slide(str(path), mpp=0.25, **options) as slide:
        assert slide.size == (WIDTH, HEIGHT)
        return slide.read((0, 0), 0, slide.size)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(str(path), mpp=0.25, **options)
    assert "\n" not in caught.value.problem
    return caught.value.problem


def assert_alike(found: Pixels, wanted: Pixels, *, lossless: bool, what: str) -> None:
    """Equal but for rounding; JPEG may smear colours at the edges of tiles."""
    difference = np.abs(found.astype(int) - wanted)
    if lossless:
        assert difference.max() <= 1, what
    else:
        assert difference.mean() < 1.5, what
        assert difference[20:-20, 20:-20].max() <= 60, what


def write(path: Path, name: str, layout: str, codec: str | None, **more: Any) -> bool:
    """Whether tifffile writes such a file at all."""
    form = FORMS[name]
    options: dict[str, Any] = {**CM, **form.options, **LAYOUTS[layout], **more}
    if codec == "jpeg":
        options["compressionargs"] = {"level": 98}
    try:
        tifffile.imwrite(path, form.samples, compression=codec, **options)
    except (ValueError, RuntimeError, TypeError):
        return False
    return True


@pytest.mark.parametrize("reader", ["auto", "openslide", "image"])
@pytest.mark.parametrize("name", FORMS)
def test_any_form_gives_its_colours_or_is_refused(tmp_path: Path, name: str, reader: str) -> None:
    path, wanted = tmp_path / "a.tif", FORMS[name].colours
    opened = set()
    for layout in LAYOUTS:
        for codec in CODECS:
            if (name, codec) == ("raw ycbcr", "jpeg") or not write(path, name, layout, codec):
                continue  # in JPEG it is the usual form of RGB
            try:
                found = colours_of(path, reader=reader)
            except SlideError:
                continue
            assert wanted is not None, f"{layout}, {codec}: opened"
            assert_alike(found, wanted, lossless=codec in LOSSLESS, what=f"{layout}, {codec}")
            opened.add((layout, codec))
    if wanted is not None and reader == "auto":
        assert opened >= {(layout, codec) for layout in LAYOUTS for codec in LOSSLESS}
        if name in ("rgb", "grey", "white is 0"):
            assert {(layout, "jpeg") for layout in LAYOUTS} <= opened


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_refused_in_tiles_is_refused_alike_in_strips(tmp_path: Path, layout: str) -> None:
    said = {
        "five channels": "5 samples a pixel: grey and 4 more that the TIFF does not call alpha",
        "two channels": "2 samples a pixel: grey and 1 more",
        "unknown fourth": "4 samples a pixel: RGB and 1 more",
        "stack": "several images of 300 x 220 px",
        "16 bits": "16 bits a sample",
        "float": "type float32",
        "cielab": "kind CIELAB",
        "raw ycbcr": "YCbCr without JPEG",
    }
    for name, words in said.items():
        assert write(tmp_path / "a.tif", name, layout, None)
        assert words in refusal(tmp_path / "a.tif"), name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tag", range(2, 10))
def test_a_turned_tiff_is_refused_whatever_its_form(tmp_path: Path, layout: str, tag: int) -> None:
    for name in ("rgb", "rgb, planes", "grey", "palette", "straight alpha"):
        for codec in (None, "lzw", "deflate", "jpeg"):
            extra = [(274, "H", 1, tag, True)]
            if not write(tmp_path / "a.tif", name, layout, codec, extratags=extra):
                continue
            for reader in ("auto", "image", "openslide")[: 3 if layout == "tiles" else 2]:
                assert f"Orientation tag is {tag}" in refusal(tmp_path / "a.tif", reader=reader)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_upright_and_undefined_orientations_are_read(tmp_path: Path, layout: str) -> None:
    for tag in (0, 1):
        extra = [(274, "H", 1, tag, True)]
        assert write(tmp_path / "a.tif", "rgb", layout, "lzw", extratags=extra)
        np.testing.assert_array_equal(colours_of(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_turned_png_or_jpeg_is_refused(tmp_path: Path, kind: str) -> None:
    for tag in range(10):
        exif = Image.Exif()
        exif[274] = tag
        path = tmp_path / f"{tag}.{kind}"
        Image.fromarray(RGB).save(path, exif=exif)
        if tag in (0, 1):
            assert np.abs(colours_of(path).astype(int) - RGB).max() < 12
        else:
            assert f"Orientation tag is {tag}" in refusal(path)


def test_tiffs_of_other_writers_give_their_colours_or_are_refused(tmp_path: Path) -> None:
    pillow = Image.fromarray(RGB)
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16", "F", "YCbCr", "LAB"):
        image = (Image.fromarray(GREY) if mode in ("I;16", "F") else pillow).convert(mode)
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"):
            path = tmp_path / "a.tif"
            try:
                image.save(path, compression=compression)
            except (OSError, ValueError, RuntimeError):
                continue
            try:
                found = colours_of(path)
            except SlideError:
                assert mode not in ("L", "P", "RGB", "RGBA") or compression in ("jpeg", "group4")
                continue
            wanted = np.asarray(image.convert("RGB")).astype(int)
            limit = 12 if compression == "jpeg" or mode == "CMYK" else 1
            assert np.abs(found - wanted).max() <= limit, (mode, compression)
    cv2.imwrite(str(tmp_path / "c.tif"), RGB[..., ::-1])
    np.testing.assert_array_equal(colours_of(tmp_path / "c.tif"), RGB)


def test_jpeg_in_every_subsampling_keeps_its_colours(tmp_path: Path) -> None:
    for subsampling in ((1, 1), (2, 1), (2, 2), (1, 2)):
        for layout in LAYOUTS:
            more: dict[str, Any] = {"subsampling": subsampling}
            if write(tmp_path / "a.tif", "rgb", layout, "jpeg", **more):
                found = colours_of(tmp_path / "a.tif")
                assert_alike(found, RGB, lossless=False, what=f"{subsampling}, {layout}")


def test_channels_and_planes_that_only_texts_tell_of_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([GREY] * 3), metadata={"axes": "CYX"}, tile=(64, 96))
    assert "several images" in refusal(path)
    whole = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image><Pixels SizeX="300" SizeY="220" SizeC="{c}" SizeZ="{z}" SizeT="1"/></Image></OME>'
    )
    for c, z in ((3, 4), (6, 1)):  # the rest lies in other files
        tifffile.imwrite(
            path, RGB, photometric="rgb", metadata=None, description=whole.format(c=c, z=z)
        )
        assert "several channels, focal planes or time points" in refusal(path)
    tifffile.imwrite(
        path, RGB, photometric="rgb", metadata=None, description=whole.format(c=3, z=1)
    )
    np.testing.assert_array_equal(colours_of(path), RGB)
    tifffile.imwrite(tmp_path / "i.tif", np.stack([GREY] * 3), imagej=True)
    assert "several" in refusal(tmp_path / "i.tif")
    tifffile.imwrite(tmp_path / "r.tif", RGB, imagej=True)
    np.testing.assert_array_equal(colours_of(tmp_path / "r.tif"), RGB)


def test_a_preview_before_the_slide_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for flag in (0, 1):
        for tile in (None, (64, 96)):
            with tifffile.TiffWriter(path) as tiff:
                tiff.write(RGB[::4, ::4], photometric="rgb", tile=tile, metadata=None)
                tiff.write(RGB, photometric="rgb", tile=tile, subfiletype=flag, metadata=None)
            assert "is smaller than another (300 x 220 px)" in refusal(path)


def test_a_small_region_may_have_a_larger_thumbnail_in_its_svs(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    about = "Aperio Image Library v11\r\n300x220|AppMag = 20|MPP = 0.5"
    more: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(RGB, tile=(64, 96), compression="deflate", description=about, **more)
        tiff.write(np.zeros((431, 1280, 3), np.uint8), **more)
    np.testing.assert_array_equal(colours_of(path), RGB)


def test_sixteen_bit_pngs_are_refused_in_every_mode(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 257
    for name, image in {"rgb": deep, "grey": deep[..., 0], "rgba": np.dstack([deep, deep])[..., :4]
                        }.items():  # fmt: skip
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), image)
        assert "16 bits a channel" in refusal(path)


def test_pngs_with_alpha_lie_on_white(tmp_path: Path) -> None:
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    assert np.abs(colours_of(tmp_path / "a.png").astype(int) - OVER_WHITE).max() <= 1
    assert (ALPHA == 0).any()
    assert BITS.any()


def test_the_forms_are_stored_as_their_names_say(tmp_path: Path) -> None:
    """Else the tests above would test nothing."""
    for name, photometric in {"raw ycbcr": "YCBCR", "white is 0": "MINISWHITE"}.items():
        assert write(tmp_path / "a.tif", name, "strips", None)
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            assert tiff.pages.first.photometric == tifffile.PHOTOMETRIC[photometric]


def test_a_volume_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "volume.tif"
    planes = np.zeros((16, 32, 48), np.uint8)
    tifffile.imwrite(path, planes, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    with tifffile.TiffFile(path) as tiff, pytest.raises(MeaningError, match="volume of 16 planes"):
        check_storage(tiff.pages.first)


def test_bits_in_reverse_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "reversed.tif"
    tifffile.imwrite(path, np.zeros((32, 48, 3), np.uint8), photometric="rgb", resolution=(1, 1))
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags["ResolutionUnit"]  # becomes FillOrder 2
        offset, order = tag.offset, tiff.byteorder
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"{order}HHI", 266, 3, 1) + struct.pack(f"{order}HH", 2, 0))
    with tifffile.TiffFile(path) as tiff, pytest.raises(MeaningError, match="FillOrder 2"):
        check_storage(tiff.pages.first)


def test_more_images_than_a_pyramid_has_are_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_meaning, "MOST_IMAGES", 3)
    path = tmp_path / "many.tif"
    with tifffile.TiffWriter(path) as writer:
        for number in range(4):
            side = 64 >> number
            writer.write(np.zeros((side, 2 * side, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as tiff, pytest.raises(MeaningError, match="holds 4 images"):
        check_images(tiff)


def test_samples_of_different_depths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depths.tif"
    tifffile.imwrite(path, np.zeros((32, 48, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        offset, order = tiff.pages.first.tags["BitsPerSample"].valueoffset, tiff.byteorder
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"{order}3H", 8, 4, 8))
    with tifffile.TiffFile(path) as tiff, pytest.raises(MeaningError, match="differ in depth"):
        read_colours(tiff.pages.first)


def test_colours_that_need_more_samples_than_there_are_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, np.zeros((32, 48), np.uint8), photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.tags["PhotometricInterpretation"].valueoffset
        order = tiff.byteorder
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"{order}H", 2))  # RGB
    with tifffile.TiffFile(path) as tiff, pytest.raises(MeaningError, match="where RGB takes 3"):
        read_colours(tiff.pages.first)
