import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from histo_ray.tilesets.image import TileError, decode_tile

WIDE = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
SMOOTH = np.linspace(0, 255, 64 * 50 * 3).reshape(50, 64, 3).astype(np.uint8)


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_tiff(pixels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded(WIDE, "png"),
        encoded(WIDE, "tiff"),
        encoded(WIDE, "tiff", compression="packbits"),
        encoded(WIDE, "tiff", compression="tiff_lzw"),
        as_tiff(WIDE, photometric="rgb", bigtiff=True),
        as_tiff(WIDE, photometric="rgb", byteorder=">"),
    ],
)
def test_lossless_files_give_their_pixels_back(data: bytes) -> None:
    assert np.array_equal(decode_tile(data), WIDE)


def test_a_jpeg_gives_about_its_pixels_back() -> None:
    pixels = decode_tile(encoded(SMOOTH, "jpeg", quality=95))
    assert pixels.shape == SMOOTH.shape
    assert np.abs(pixels.astype(int) - SMOOTH).mean() < 3


def test_an_orientation_flag_turns_no_tile() -> None:
    exif = Image.Exif()
    exif[274] = 6
    assert decode_tile(encoded(WIDE, "jpeg", exif=exif)).shape == WIDE.shape


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (encoded(WIDE[..., 0], "png"), "^1 channel; a tile is 8-bit RGB$"),
        (encoded(WIDE[..., 0], "jpeg"), "^1 channel; a tile is 8-bit RGB$"),
        (encoded(WIDE[..., 0], "tiff"), "^1 channel; a tile is 8-bit RGB$"),
        (
            encoded(WIDE[..., 0].astype(np.uint16) * 257, "png"),
            "^16-bit, 1 channel; a tile is 8-bit RGB$",
        ),
        (
            cv2.imencode(".png", WIDE.astype(np.uint16) * 257)[1].tobytes(),
            "^16-bit; a tile is 8-bit RGB$",
        ),
        (as_tiff(WIDE.astype(np.uint16) * 257, photometric="rgb"), "16-bit|damaged"),
        (as_tiff(WIDE[..., 0].astype(np.float32)), "^32-bit, 1 channel; a tile is 8-bit RGB$"),
        (
            encoded(np.dstack([WIDE, WIDE[..., 0]]), "png"),
            "^4 channels, with alpha; a tile is 8-bit RGB$",
        ),
        (
            encoded(np.dstack([WIDE, WIDE[..., 0]]), "tiff"),
            "^4 channels, with alpha; a tile is 8-bit RGB$",
        ),
        (encoded(WIDE, "png", transparency=(1, 2, 3)), "^with alpha; a tile is 8-bit RGB$"),
        (
            encoded(Image.fromarray(WIDE).convert("P"), "png"),
            "^1 channel, palette; a tile is 8-bit RGB$",
        ),
        (
            encoded(Image.fromarray(WIDE).convert("CMYK"), "jpeg"),
            "^4 channels, CMYK; a tile is 8-bit RGB$",
        ),
        (
            encoded(Image.fromarray(WIDE[..., 0] > 99), "png"),
            "^1-bit, 1 channel; a tile is 8-bit RGB$",
        ),
        (as_tiff(np.stack([WIDE, WIDE]), photometric="rgb"), "^2 pages; a tile is a file of one$"),
        (encoded(np.zeros((2, 5000, 3), np.uint8), "png"), "^5000 x 2 px; a tile has at most"),
        (b"GIF89a and so on", "^not a PNG, JPEG or TIFF"),
        (b"", "^the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "^the image is damaged"),
    ],
)
def test_other_images_are_refused_in_words(data: bytes, found: str) -> None:
    with pytest.raises(TileError, match=found):
        decode_tile(data)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("write", [
    lambda: encoded(WIDE, "png"),
    lambda: encoded(SMOOTH, "jpeg", quality=90),
    lambda: encoded(WIDE, "tiff", compression="packbits"),
    lambda: as_tiff(WIDE, photometric="rgb"),
])  # fmt: skip
def test_a_truncated_file_is_refused(write: Callable[[], bytes], share: float) -> None:
    data = write()
    with pytest.raises(TileError, match=r"damaged|empty|not a PNG"):
        decode_tile(data[: int(share * len(data))])


def test_a_png_whose_bytes_changed_is_refused() -> None:
    data = bytearray(encoded(WIDE, "png"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(TileError, match="damaged"):
        decode_tile(bytes(data))
