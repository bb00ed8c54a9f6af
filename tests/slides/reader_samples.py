"""A slide for each registered reader, with the pixels that it must be read as."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from histo_ray.slides.openslide_reader import OpenSlideReader
from testing.jpeg_slides import KINDS, write_jpeg_slide

Pixels = npt.NDArray[np.uint8]
Write = Callable[[Path, Pixels], tuple[Path, Pixels]]
"""Writes a slide into a folder, given pixels to show; its path, and those it does show."""


def write_jpeg(folder: Path, shown: Pixels) -> tuple[Path, Pixels]:
    """A tiled SVS, whose JPEG tiles are what OpenSlide decodes."""
    del shown
    path = write_jpeg_slide(folder / "tiled.svs", KINDS["aperio, YCbCr 4:2:0"])
    reader = OpenSlideReader(str(path), "tiled")
    pixels = reader.read((0, 0), 0, reader.level_sizes[0])
    reader.close()
    return path, pixels


def write_tiled(folder: Path, shown: Pixels) -> tuple[Path, Pixels]:
    """A lossless pyramid."""
    path = folder / "pyramid.tif"
    options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(shown, **options)
        tiff.write(shown[::4, ::4], subfiletype=1, **options)
    return path, shown


def write_png(folder: Path, shown: Pixels) -> tuple[Path, Pixels]:
    """A plain image."""
    Image.fromarray(shown).save(folder / "plain.png")
    return folder / "plain.png", shown


def write_strips(folder: Path, shown: Pixels) -> tuple[Path, Pixels]:
    """A TIFF in strips, which OpenSlide does not take."""
    tifffile.imwrite(folder / "plain.tif", shown, photometric="rgb", rowsperstrip=16)
    return folder / "plain.tif", shown


SAMPLES: dict[str, tuple[str, Write]] = {
    "direct": ("direct", write_jpeg),
    "openslide": ("openslide", write_tiled),
    "image, PNG": ("image", write_png),
    "image, TIFF": ("image", write_strips),
}
"""By what is shown of it in a test's name: the reader that `auto` chooses, and its slide."""
