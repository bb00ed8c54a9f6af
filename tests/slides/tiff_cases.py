"""TIFFs of one picture in many forms, with the colours that each means: no test by itself."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 300, 220
CM: dict[str, Any] = {
    "resolution": (40_000, 40_000),
    "resolutionunit": "CENTIMETER",
    "metadata": None,
}


def picture() -> Pixels:
    """(220, 300, 3): smooth, so that JPEG keeps it, and different in every corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    red, green = x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1)
    return np.stack([red, green, (x + y) // 4 + 60], -1).astype(np.uint8)


def _alpha() -> Pixels:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[40:90, 60:120] = 128
    alpha[90:130, 60:120] = 0
    return alpha


@dataclass(frozen=True)
class Form:
    """Samples as they are stored, and the colours they mean; None: nothing that can be told."""

    samples: npt.NDArray[Any]
    colours: Pixels | None
    options: dict[str, Any] = field(default_factory=dict)


RGB, ALPHA = picture(), _alpha()
GREY = RGB[..., 1]
RGBA = np.dstack([RGB, ALPHA])
_SHARE = ALPHA[..., None] / 255
OVER_WHITE = np.round(RGB * _SHARE + 255 * (1 - _SHARE)).astype(np.uint8)
PREMULTIPLIED = np.dstack([np.round(RGB * _SHARE), ALPHA]).astype(np.uint8)
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
GREY_OVER_WHITE = np.repeat(
    np.round(GREY[..., None] * _SHARE + 255 * (1 - _SHARE)).astype(np.uint8), 3, axis=2
)
RAMP = np.arange(256)
TABLE = np.stack([RAMP * 257, RAMP[::-1] * 257, np.full(256, 128 * 257)]).astype(np.uint16)
PALETTE_RGB = (TABLE // 257).astype(np.uint8).T[GREY]
BITS = GREY > 100
BITS_RGB = np.repeat((BITS * 255).astype(np.uint8)[..., None], 3, axis=2)
DEEP = GREY.astype(np.uint16) * 257
CMYK = np.dstack([255 - RGB, np.zeros_like(GREY)])


def _form(samples: Any, colours: Any, **options: Any) -> Form:
    return Form(np.ascontiguousarray(samples), colours, options)


FORMS = {
    "rgb": _form(RGB, RGB, photometric="rgb"),
    "rgb, planes": _form(np.moveaxis(RGB, -1, 0), RGB, photometric="rgb", planarconfig="separate"),
    "grey": _form(GREY, GREY_RGB, photometric="minisblack"),
    "white is 0": _form(255 - GREY, GREY_RGB, photometric="miniswhite"),
    "bits": _form(BITS, BITS_RGB, photometric="minisblack"),
    "bits, white is 0": _form(~BITS, BITS_RGB, photometric="miniswhite"),
    "palette": _form(GREY, PALETTE_RGB, photometric="palette", colormap=TABLE),
    "palette of 8 bits": _form(GREY, PALETTE_RGB, photometric="palette", colormap=TABLE // 257),
    "straight alpha": _form(RGBA, OVER_WHITE, photometric="rgb", extrasamples=["unassalpha"]),
    "premultiplied alpha": _form(
        PREMULTIPLIED, OVER_WHITE, photometric="rgb", extrasamples=["assocalpha"]
    ),
    "grey and alpha": _form(
        np.dstack([GREY, ALPHA]),
        GREY_OVER_WHITE,
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    ),
    "cmyk": _form(CMYK, RGB, photometric="separated"),
    "unknown fourth": _form(RGBA, None, photometric="rgb", extrasamples=["unspecified"]),
    "two channels": _form(
        np.dstack([GREY, ALPHA]), None, photometric="minisblack", planarconfig="contig"
    ),
    "five channels": _form(
        np.dstack([GREY] * 5), None, photometric="minisblack", planarconfig="contig"
    ),
    "four planes": _form(
        np.stack([GREY] * 4), None, photometric="minisblack", planarconfig="separate"
    ),
    "six samples": _form(np.dstack([RGB, RGB]), None, photometric="rgb", planarconfig="contig"),
    "cielab": _form(RGB, None, photometric="cielab"),
    "raw ycbcr": _form(RGB, None, photometric="ycbcr"),
    "16 bits": _form(DEEP, None, photometric="minisblack"),
    "16-bit rgb": _form(np.dstack([DEEP] * 3), None, photometric="rgb"),
    "float": _form(GREY / np.float32(255), None, photometric="minisblack"),
    "signed": _form(GREY.astype(np.int8), None, photometric="minisblack"),
    "stack": _form(np.stack([GREY, 255 - GREY, GREY // 2]), None, photometric="minisblack"),
    "rgb stack": _form(np.stack([RGB, 255 - RGB]), None, photometric="rgb"),
    "cfa": _form(GREY, None, photometric="cfa"),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "one strip": {"rowsperstrip": HEIGHT},
    "tiles": {"tile": (64, 96)},
}
CODECS = (None, "lzw", "deflate", "packbits", "zstd", "jpeg", "webp", "jpegxr", "jpeg2000")
