"""Decodes one tile. Only 8-bit RGB is accepted; the error says what else a file is."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
LEAST_PX, GREATEST_PX = 16, 4096

Pixels = npt.NDArray[np.uint8]

_PLUGINS: dict[bytes, Callable[[io.BytesIO], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,
    b"MM\0+": TiffImagePlugin.TiffImageFile,
}
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    IndexError,
    RuntimeError,
    UserWarning,  # Pillow warns of torn TIFF tags; an error where warnings are
    struct.error,
    zlib.error,
)
_CHANNELS = {"1": 1, "L": 1, "F": 1, "I": 1, "P": 1, "LA": 2, "PA": 2, "RGB": 3, "YCbCr": 3}
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 258, 277, 338


class TileError(Exception):
    """Why a file cannot serve as a tile: what it is, and what would do."""


def decode_tile(data: bytes) -> Pixels:
    """Pixels of a PNG, JPEG or TIFF file as they are stored; orientation flags are ignored.

    Args:
        data: The whole file.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        TileError: Damaged, truncated, or not 8-bit RGB.
    """
    plugin = next((p for magic, p in _PLUGINS.items() if data.startswith(magic)), None)
    if plugin is None:
        raise TileError("the file is empty" if not data else "not a PNG, JPEG or TIFF file")
    try:
        with plugin(io.BytesIO(data)) as image:  # the plugin: Image.open has a global size limit
            _check_layout(image, data)
            return np.array(image.convert("RGB"))
    except _DAMAGE as error:
        raise TileError(f"the image is damaged ({_first_line(error)})") from None


def _check_layout(image: Image.Image, data: bytes) -> None:
    """Refuse what Pillow would convert in silence: depth, channels, pages, and giants."""
    width, height = image.size
    if max(width, height) > GREATEST_PX:
        raise TileError(f"{width} x {height} px; a tile has at most {GREATEST_PX} px a side")
    bits, channels, alpha = _depth(image, data)
    found = []
    if bits != 8:
        found.append(f"{bits}-bit")
    if channels != 3:
        found.append("1 channel" if channels == 1 else f"{channels} channels")
    if image.mode in ("P", "PA"):
        found.append("palette")
    if image.mode == "CMYK":
        found.append("CMYK")
    if alpha:
        found.append("with alpha")
    if found:
        raise TileError(f"{', '.join(found)}; a tile is 8-bit RGB")
    if getattr(image, "n_frames", 1) > 1:
        raise TileError(f"{getattr(image, 'n_frames', 1)} pages; a tile is a file of one")


def _depth(image: Image.Image, data: bytes) -> tuple[int, int, bool]:
    """(bits a channel, channels, whether one of them is alpha) as the file stores them."""
    mode = image.mode
    alpha = mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        bits = tags.get(_BITS_PER_SAMPLE, (1,))
        channels = int(tags.get(_SAMPLES_PER_PIXEL, len(bits)))
        return max(int(b) for b in bits), channels, alpha or _EXTRA_SAMPLES in tags
    if isinstance(image, PngImagePlugin.PngImageFile):
        kinds = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
        return data[24], kinds.get(data[25], 0), alpha  # IHDR is always the first chunk
    return 8, _CHANNELS.get(mode, 4), alpha


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
