"""Reads everything that OpenSlide opens. The only file that imports openslide."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import openslide

from histo_ray.errors import SlideError
from histo_ray.slides.flatten import WHITE, Rgb, flatten_alpha
from histo_ray.slides.resolution import StatedMpp, mpp_from_tiff
from histo_ray.slides.unread_formats import describe_companions
from histo_ray.types import Size

MOST_TILE_PX = 2**28
"""Largest tile in a slide's file: 1 GiB once decoded. A level that is one tile may be as large."""
_DAMAGED = "if the file is damaged, copy it again; else leave the slide out"
_REMEDIES = {
    "dicom": (
        "OpenSlide reads DICOM slides of 8-bit RGB or YBR in JPEG, JPEG 2000 or uncompressed; "
        "convert one of another transfer syntax or bit depth with dcmtk's dcmdjpeg or wsidicomizer"
    ),
    "zeiss": (
        "OpenSlide lacks some features of CZI (JPEG XR, more than 8 bits, several channels); "
        "convert it to a pyramidal OME-TIFF with Bio-Formats' bfconvert or with QuPath"
    ),
}
"""What to do where OpenSlide recognises a format and may lack what the file uses, by vendor."""


def detect_vendor(path: str) -> str | None:
    """OpenSlide's name for the format of a local file; None if it is not one of its own."""
    vendor: str | None = openslide.OpenSlide.detect_format(path)
    return vendor


class OpenSlideReader:
    """One slide opened by OpenSlide."""

    name = "openslide"
    levels_left_out: tuple[str, ...] = ()

    def __init__(self, path: str, slide_id: str) -> None:
        self.slide_id = slide_id
        self.path = path
        self.vendor = ""
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            self.vendor = detect_vendor(path) or ""
            raise self.damaged(error) from error
        properties = self._slide.properties
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "")
        self.level_sizes: tuple[Size, ...] = tuple(self._slide.level_dimensions)
        self.downsamples: tuple[float, ...] = tuple(self._slide.level_downsamples)
        self.tile_sizes = tuple(_tile_size(properties, at) for at in range(len(self.level_sizes)))
        self._check_tiles()
        self.regions = _regions(properties)
        self.background = _colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR))
        tags = mpp_from_tiff(
            _number(properties.get("tiff.XResolution")),
            _number(properties.get("tiff.YResolution")),
            properties.get("tiff.ResolutionUnit", ""),
        )
        file = StatedMpp(
            # OpenSlide itself derives these two from the tags of a TIFF of no vendor.
            "tiff-tags" if self.vendor == "generic-tiff" else "file",
            _number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
            _number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
        )
        self.stated_mpp: tuple[StatedMpp, ...] = (file, tags)

    def _check_tiles(self) -> None:
        """Refuse tiles for which OpenSlide finds no memory: it would end the process."""
        for width, height in self.tile_sizes:
            if width * height > MOST_TILE_PX:
                self._slide.close()
                raise SlideError(
                    self.slide_id,
                    f"{self.path} states tiles of {width} x {height} px, more than memory can "
                    "hold: its header is damaged; copy the file again, or leave the slide out",
                )

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        """Read a region; `corner` in level-0 px, `size` (width, height) in px of `level`."""
        try:
            image = self._slide.read_region(corner, level, size)
        except openslide.OpenSlideError as error:
            raise self.damaged(error) from error
        return flatten_alpha(np.asarray(image), self.background)

    def read_into(self, region: npt.NDArray[np.uint8], corner: tuple[int, int], level: int) -> None:
        """Read the region at `corner` (level-0 px) that fills `region`, (h, w, 3) px of `level`."""
        region[:] = self.read(corner, level, (region.shape[1], region.shape[0]))

    def close(self) -> None:
        """Release the file."""
        self._slide.close()

    def damaged(self, error: Exception) -> SlideError:
        """The error to raise when OpenSlide cannot read this slide."""
        reason = " ".join(str(error).split()) or "no reason given"
        found = f"{self.path}: OpenSlide cannot read it ({reason}); "
        lacks = describe_companions(self.path, self.path)
        return SlideError(self.slide_id, found + (lacks or _REMEDIES.get(self.vendor, _DAMAGED)))


def _tile_size(properties: Mapping[str, str], level: int) -> Size:
    """(width, height) of a level's tiles in the file; zeros if it is not tiled."""
    width, height = (
        int(properties.get(f"openslide.level[{level}].tile-{edge}", "0"))
        for edge in ("width", "height")
    )
    return width, height


def _regions(properties: Mapping[str, str]) -> tuple[tuple[int, int, int, int], ...]:
    """(x, y, width, height) of each scanned area that OpenSlide states, in level-0 px."""
    found: list[tuple[int, int, int, int]] = []
    while f"openslide.region[{len(found)}].x" in properties:
        x, y, width, height = (
            int(properties[f"openslide.region[{len(found)}].{name}"])
            for name in ("x", "y", "width", "height")
        )
        found.append((x, y, width, height))
    return tuple(found)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _colour(text: str | None) -> Rgb:
    """RGB of OpenSlide's six hex digits; white if the slide has no colour of its own."""
    try:
        red, green, blue = bytes.fromhex(text or "")
    except ValueError:
        return WHITE
    return red, green, blue


def openslide_versions() -> str:
    """Versions of OpenSlide and of its Python binding."""
    return f"{openslide.__library_version__} (Python binding {openslide.__version__})"
