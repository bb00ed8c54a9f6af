"""Levels of a DICOM slide: one file each, in one folder, by the rules of OpenSlide's driver."""

import os
from pathlib import Path

from histo_ray.slides.direct.dicom_frames import (
    JPEG_BASELINE,
    DicomImage,
    index_frames,
    read_image,
)
from histo_ray.slides.direct.indexed_tiles import IndexedTiles
from histo_ray.slides.direct.layout import (
    MAX_TILE_PX,
    Layout,
    Level,
    TileArray,
    UnrecognisedError,
)
from histo_ray.slides.direct.vendor_tiff import KnownSlide, check_levels
from histo_ray.types import Size

_LEVEL = "VOLUME"
_EXPECTED = {
    "samples": 3,
    "planar": 0,
    "allocated": 8,
    "stored": 8,
    "high_bit": 7,
    "signed": 0,
}
_RGB = {"RGB": True, "YBR_FULL_422": False}


def read_dicom(path: str, known: KnownSlide) -> Layout:
    """Find the frames of each level, in this file and in those beside it of the same series.

    Args:
        path: Local file, of any level.
        known: The slide by OpenSlide.

    Raises:
        UnrecognisedError: Anything is not as this reader knows it.
    """
    levels: dict[Size, Level] = {}
    files: list[str] = []
    series = None
    for name in (path, *_beside(path)):
        try:
            with Path(name).open("rb") as file:
                image = read_image(file)
                if image is None:
                    continue
                if series is None:
                    series = image.texts.get("series")
                if image.syntax != JPEG_BASELINE:
                    raise UnrecognisedError(f"the transfer syntax {image.syntax}")
                if image.texts.get("series") != series or image.flavour != _LEVEL:
                    continue
                if image.size in levels:
                    raise UnrecognisedError("two files of one level")
                _check_image(image)
                index = index_frames(file, image)
        except OSError as error:
            raise UnrecognisedError(f"a file beside it that cannot be read: {error}") from error
        codes = IndexedTiles(image.tile, index, rgb=_RGB[image.texts["photometric"]], items=True)
        array = TileArray(image.size, image.tile, codes, file=len(files))
        levels[image.size] = Level(image.size, (array,))
        files.append(name)
    ordered = tuple(sorted(levels.values(), key=lambda level: -level.size[0]))
    return Layout(check_levels(ordered, known), tuple(files))


def _beside(path: str) -> list[str]:
    """Files in the same folder, in the order of their names."""
    folder, own = os.path.split(path)
    with os.scandir(folder or ".") as found:
        return sorted(each.path for each in found if each.name != own and each.is_file())


def _check_image(image: DicomImage) -> None:
    """Refuse what OpenSlide would not decode as 8-bit RGB or YCbCr JPEG, and odd sizes."""
    for name, expected in _EXPECTED.items():
        if image.numbers.get(name) != expected:
            raise UnrecognisedError(f"{name}: {image.numbers.get(name)}, not {expected}")
    if image.numbers.get("planes", 1) != 1 or "concatenation" in image.texts:
        raise UnrecognisedError("several focal planes, or a level in several files")
    if image.texts.get("photometric") not in _RGB:
        raise UnrecognisedError(f"colours {image.texts.get('photometric')}")
    if max(image.tile) > MAX_TILE_PX:
        raise UnrecognisedError(f"frames of {image.tile} px of an image of {image.size} px")
