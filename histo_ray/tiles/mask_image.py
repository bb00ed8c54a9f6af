"""Decodes a mask image: which of its pixels mean tissue.

The rule, documented for users: a pixel is tissue where its stored value is not 0 (for RGB: any of
the three), and nowhere where it is transparent. Of a palette the index counts, not its colour.
"""

import io
import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import PngImagePlugin
from tifffile import COMPRESSION, PHOTOMETRIC

from histo_ray.slides.plain_image import ImageError, NoMemoryError
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.slides.tiff_image import check_codec, check_ends, read_samples
from histo_ray.slides.tiff_meaning import (
    MeaningError,
    check_images,
    check_orientation,
    check_storage,
    read_alpha,
)
from histo_ray.text import join_or, name_first
from histo_ray.types import Size

Values = npt.NDArray[np.generic]

MOST_PX = 2**28
"""Most px of a mask image, which is decoded whole: 16,384 x 16,384."""
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXIF_ORIENTATION = 274
_PNG_DAMAGE = (*DAMAGE, SyntaxError, EOFError, UserWarning, struct.error, zlib.error, cv2.error)
_NO_MEMORY = "memory has no room for it; export it at a lower resolution"
_WRITES_STORED_VALUES = "tifffile"
"""Software that stores True as 1 whatever the photometric; others store colours."""


class MaskError(Exception):
    """Why an image cannot be a mask: what is wrong with it, and what to do."""


def decode_mask_image(data: bytes, classes: Sequence[int] = ()) -> npt.NDArray[np.bool_]:
    """Decode a PNG or TIFF mask.

    Args:
        data: The whole file.
        classes: Values that mean tissue; empty: all but 0.

    Returns:
        (height, width) bool, true where it marks tissue.

    Raises:
        MaskError: Not such an image, damaged, too large, or its values could mean several things.
    """
    if data.startswith(_PNG):
        values, opaque = _read_png(data)
    elif data.startswith(_TIFF):
        values, opaque = _read_tiff(data)
    else:
        raise MaskError("it is no readable PNG or TIFF; export it again as one of these")
    tissue = _select(values, classes)
    return tissue if opaque is None else tissue & opaque


def _select(values: Values, classes: Sequence[int]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if (finite != np.floor(finite)).any():
            raise MaskError(
                "its values have fractions, as a probability map has; save it as 0 and 1 by a "
                "threshold of your choice"
            )
        values = np.where(np.isfinite(values), values, 0)
    if values.dtype.kind == "c":
        raise MaskError("its values are complex numbers; save it as 0 and 1")
    if classes and values.ndim > 2:
        raise MaskError(
            "its pixels are colours, which no class numbers select; save it as an image of class "
            "numbers"
        )
    if classes:
        chosen = np.asarray(np.isin(values, list(classes)))
        if not chosen.any() and values.any():
            there = [f"{value:g}" for value in np.unique(values)]
            raise MaskError(
                f"none of its pixels is {join_or([str(value) for value in classes])} "
                f"(--mask-classes); its values: {name_first(there)}; name one of them, or leave "
                "the slide out"
            )
        return chosen
    marked = values != 0
    return np.asarray(marked.any(axis=2) if marked.ndim > 2 else marked)


def _read_png(data: bytes) -> tuple[Values, npt.NDArray[np.bool_] | None]:
    """Values, and where they are not transparent (None: everywhere)."""
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            _check_size(image.size)
            check_orientation(image.getexif().get(_EXIF_ORIENTATION, 1))
            if image.mode == "P":
                indices = np.asarray(image)
                shown = image.convert("RGBA") if "transparency" in image.info else None
                return indices, None if shown is None else np.asarray(shown)[..., 3] > 0
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except MeaningError as error:
        raise MaskError(str(error)) from error
    except MemoryError as error:
        raise MaskError(_NO_MEMORY) from error
    except _PNG_DAMAGE as error:
        if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
            raise MaskError(_NO_MEMORY) from error
        raise MaskError(f"it is a damaged PNG ({_line(error)}); export it again") from error
    if decoded is None:
        raise MaskError("it is a damaged PNG; export it again")
    values = np.asarray(decoded)
    if values.ndim == 2:
        return values, None
    has_alpha = values.shape[2] in (2, 4)
    colours = values[..., :-1] if has_alpha else values
    if colours.shape[2] == 1 or (colours == colours[..., :1]).all():
        colours = colours[..., 0]  # grey, which OpenCV makes three channels of beside alpha
    return colours, np.asarray(values[..., -1] != 0) if has_alpha else None


def _read_tiff(data: bytes) -> tuple[Values, npt.NDArray[np.bool_] | None]:
    """Values, and where they are not transparent (None: everywhere)."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            page = check_images(tiff)
            _check_size((page.imagewidth, page.imagelength))
            if page.is_tiled:
                _check_size((page.tilewidth, page.tilelength))
            colour_samples = _check_meaning(page)
            check_codec(page)
            check_ends(tiff, page)
            values = read_samples(page)
    except NoMemoryError as error:
        raise MaskError(_NO_MEMORY) from error
    except (MeaningError, ImageError) as error:
        raise MaskError(str(error)) from error
    except (*DAMAGE, MemoryError) as error:
        raise MaskError(f"it is a damaged TIFF ({_line(error)}); export it again") from error
    if values.ndim == 2:
        return values, None
    colours = values[..., 0] if colour_samples == 1 else values[..., :colour_samples]
    has_alpha = values.shape[2] > colour_samples
    return colours, np.asarray(values[..., -1] != 0) if has_alpha else None


def _check_meaning(page: tifffile.TiffPage) -> int:
    """How many samples of a pixel are values; refuse a TIFF whose values could mean two things."""
    check_orientation(page.tags.valueof("Orientation", 1))
    check_storage(page)
    if page.compression == COMPRESSION.JPEG:
        raise MaskError(
            "it is compressed by JPEG, which makes small values of 0; save it with LZW or deflate"
        )
    photometric = page.photometric
    if photometric == PHOTOMETRIC.MINISWHITE and not page.software.startswith(
        _WRITES_STORED_VALUES
    ):
        raise MaskError(
            "its TIFF says that 0 is white (MINISWHITE), so tissue could be what is white or what "
            "is 1; save it with 0 as black, for example as PNG"
        )
    kinds: dict[int, str] = {
        PHOTOMETRIC.RGB: "rgb",
        PHOTOMETRIC.MINISBLACK: "grey",
        PHOTOMETRIC.MINISWHITE: "grey",
        PHOTOMETRIC.PALETTE: "palette",
    }
    kind = kinds.get(photometric)
    if kind is None or page.tags.get("PhotometricInterpretation") is None:
        raise MaskError(
            f"its colours are of kind {getattr(photometric, 'name', photometric)}; save it as an "
            "image of 0 and 1"
        )
    read_alpha(page, "rgb" if kind == "rgb" else "grey")
    return 3 if kind == "rgb" else 1


def _check_size(size: Size) -> None:
    if size[0] * size[1] > MOST_PX:
        raise MaskError(
            f"it has {size[0]} x {size[1]} px, more than the {MOST_PX} px that are decoded at "
            "once; export it at a lower resolution"
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
