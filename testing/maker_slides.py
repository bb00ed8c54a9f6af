"""Small slides in scanner makers' formats, written here; OpenSlide takes each for its maker's.

They are TIFFs with the makers' XML; levels below 0 are averages of level 0.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from testing.jpeg_slides import Kind, cut_tiles, encode_tile, texture

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
Draw = Callable[[int, int, int], Pixels]
"""Draws (height, width, 3) px, given the width, the height and a seed."""
YCBCR = Kind(rgb=False, subsampling=(2, 1), tile=(128, 128))
"""How tiles are encoded where nothing else is said."""
_SCN = "http://www.leica-microsystems.com/scn/2010/10/01"


class TiledWriter:
    """Writes directories of JPEG tiles into one TIFF."""

    def __init__(self, path: Path, kind: Kind, *, big: bool = True) -> None:
        self._kind = kind
        self._path = path
        self._tiff = tifffile.TiffWriter(path, bigtiff=big)
        self._tiled: list[int] = []
        self._count = 0

    def add(self, image: Pixels, text: str | None = None, **options: Any) -> None:
        """A directory of tiles; `missing` has the numbers of tiles left out."""
        kind = self._kind
        gone = set(options.pop("missing", ()))
        tiles = [encode_tile(tile, kind) for tile in cut_tiles(image, kind.tile)]
        self._tiff.write(
            iter([b"" if at in gone else tile for at, tile in enumerate(tiles)]),
            shape=image.shape,
            dtype=np.uint8,
            tile=kind.tile[::-1],
            photometric="rgb" if kind.rgb else "ycbcr",
            subsampling=None if kind.rgb else kind.subsampling,
            compression="jpeg",
            description=text,
            metadata=None,
            **{"software": False, "resolution": (40_000, 40_000), "resolutionunit": 3, **options},
        )
        self._tiled.append(self._count)
        self._count += 1

    def add_plain(self, image: Pixels, text: str | None = None, **options: Any) -> None:
        """A directory of strips."""
        self._tiff.write(
            image,
            photometric="rgb",
            rowsperstrip=64,
            description=text,
            metadata=None,
            **{"software": False, **options},
        )
        self._count += 1

    def close(self) -> Path:
        """Finish the file, and set what tifffile does not leave to its caller."""
        self._tiff.close()
        with tifffile.TiffFile(self._path, mode="r+", is_philips=False) as tiff:
            for number in self._tiled:
                page = tiff.pages[number]
                if isinstance(page, tifffile.TiffPage):
                    tag = page.tags["PhotometricInterpretation"]
                    tag.overwrite(2 if self._kind.rgb else 6)
        return self._path


def shrink(image: Pixels, factor: int) -> Pixels:
    """An image `factor` times smaller, fractions cut off."""
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def write_scn(
    path: Path,
    areas: Sequence[tuple[Size, Size]] = (((301, 203), (500, 390)), ((900, 611), (470, 350))),
    *,
    kind: Kind = YCBCR,
    factors: Sequence[int] = (1, 4),
    missing: Sequence[int] = (),
    draw: Draw = texture,
) -> Path:
    """A Leica SCN.

    Args:
        path: Where to write.
        areas: (x, y) and (width, height) in px of each scanned area.
        kind: How tiles are encoded.
        factors: How often each level is smaller.
        missing: Tiles that each directory lacks.
        draw: What level 0 shows.
    """
    nm = 500
    images, pixels = [], []
    number = 1
    glass_x, glass_y = (nm * max(at + 20, *(a[0][i] + a[1][i] + 100 for a in areas)) + 137
             for i, at in enumerate((1480, 1080)))  # fmt: skip
    for seed, ((x, y), (width, height)) in enumerate(areas):
        sizes = []
        full = draw(width, height, seed)
        for factor in factors:
            image = shrink(full, factor)
            pixels.append(image)
            sizes.append(_dimension(number, image.shape[1], image.shape[0]))
            number += 1
        view = width * nm, height * nm, x * nm + 123, y * nm + 77
        images.append(_scn_image(view, sizes))
    macro = _scn_image((glass_x, glass_y, 0, 0), [_dimension(0, 150, 110)])
    text = (
        f'<?xml version="1.0"?><scn xmlns="{_SCN}"><collection name="a" sizeX="{glass_x}" '
        f'sizeY="{glass_y}"><barcode>MTIz</barcode>{macro}{"".join(images)}</collection></scn>'
    )
    tiff = TiledWriter(path, kind)
    tiff.add(texture(150, 110, 9), text)
    for image in pixels:
        tiff.add(image, missing=missing)
    return tiff.close()


def _dimension(number: int, width: int, height: int) -> str:
    return f'<dimension sizeX="{width}" sizeY="{height}" r="0" ifd="{number}"/>'


def _scn_image(view: tuple[int, int, int, int], dimensions: Sequence[str]) -> str:
    return (
        '<image name="image"><creationDate>2026-01-01T00:00:00Z</creationDate>'
        '<device model="synthetic" version="1"/>'
        f'<pixels sizeX="1" sizeY="1">{"".join(dimensions)}</pixels>'
        f'<view sizeX="{view[0]}" sizeY="{view[1]}" offsetX="{view[2]}" offsetY="{view[3]}"/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>"
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings>"
        "</scanSettings></image>"
    )


def write_philips(
    path: Path,
    size: Size = (1013, 771),
    *,
    kind: Kind = YCBCR,
    factors: Sequence[int] = (1, 2, 4),
    missing: Sequence[tuple[int, int]] = (),
    draw: Draw = texture,
) -> Path:
    """A Philips TIFF, whose levels are padded to whole tiles.

    Args:
        path: Where to write.
        size: (width, height) in px, before level 0 is padded.
        kind: How tiles are encoded.
        factors: How often each level is smaller.
        missing: (level, tile) of tiles left out.
        draw: What level 0 shows.
    """
    padded = [-(-whole // edge) * edge for whole, edge in zip(size, kind.tile, strict=True)]
    full = draw(padded[0], padded[1], 0)
    tiff = TiledWriter(path, kind)
    for level, factor in enumerate(factors):
        image = shrink(full, factor)
        edge = kind.tile
        image = np.pad(
            image, ((0, -image.shape[0] % edge[1]), (0, -image.shape[1] % edge[0]), (0, 0))
        )
        tiff.add(
            image,
            None if level else _philips_text(factors),
            software="Philips DP v1.0",
            subfiletype=1 if level else 0,
            missing=[tile for at, tile in missing if at == level],
        )
    return tiff.close()


def _philips_text(factors: Sequence[int]) -> str:
    def spacing(factor: int) -> str:
        mm = f"&quot;{0.00025 * factor:.6g}&quot;"
        return _attribute("DICOM_PIXEL_SPACING", f"{mm} {mm}")

    levels = "".join(
        f'<DataObject ObjectType="PixelDataRepresentation">{spacing(factor)}</DataObject>'
        for factor in factors
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><DataObject ObjectType="DPUfsImport">'
        '<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array><DataObject ObjectType="DPScannedImage">'
        f"{_attribute('PIM_DP_IMAGE_TYPE', 'WSI')}{spacing(1)}"
        '<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>'
        f"{levels}</Array></Attribute></DataObject></Array></Attribute></DataObject>"
    )


def _attribute(name: str, text: str) -> str:
    return f'<Attribute Name="{name}">{text}</Attribute>'


def write_bif(
    path: Path,
    areas: Sequence[tuple[Size, Size, Size]] = (
        ((1, 0), (4, 3), (200, 64)),
        ((1, 4), (3, 3), (328, 700)),
    ),
    *,
    kind: Kind = YCBCR,
    factors: Sequence[int] = (1, 2, 4),
    overlap: float = 0,
    draw: Draw = texture,
) -> Path:
    """A Ventana BIF.

    Args:
        path: Where to write.
        areas: First tile (column, row), tiles (across, down) and (x, y) in px, counted from the
            lower left, of each scanned area; none for a Ventana TIFF, which has no areas.
        kind: How tiles are encoded.
        factors: How often each level is smaller.
        overlap: By how many px neighbouring tiles overlap.
        draw: What level 0 shows.
    """
    tile = kind.tile
    tiles = [max((c + n for (c, _), (n, _), _ in areas), default=6),
             max((r + n for (_, r), (_, n), _ in areas), default=5)]  # fmt: skip
    full = draw(tiles[0] * tile[0], tiles[1] * tile[1], 0)
    tiff = TiledWriter(path, kind)
    iscan = b'<iScan Magnification="40" ScanRes="0.25" UnitNumber="1"/>'
    tiff.add_plain(full[::8, ::8], "Label Image", extratags=[_xml(iscan)])
    for level, factor in enumerate(factors):
        extra = {}
        if areas and not level:
            extra = {"extratags": [_xml(_bif_text(areas, tile, overlap).encode())]}
        tiff.add(shrink(full, factor), f"level={level} mag={40 / factor:g} quality=90", **extra)
    return tiff.close()


def _xml(text: bytes) -> tuple[int, int, int, bytes, bool]:
    return 700, 1, len(text), text, True


def _bif_text(areas: Sequence[tuple[Size, Size, Size]], tile: Size, overlap: float) -> str:
    infos, origins = [], []
    for number, ((column, row), (across, down), (x, y)) in enumerate(areas):
        joints = [("RIGHT", 1, 2), ("UP", 1, 2 * across)]
        infos.append(
            f'<ImageInfo AOIScanned="1" AOIIndex="{number}" Width="{tile[0]}" Height="{tile[1]}" '
            f'NumCols="{across}" NumRows="{down}" Pos-X="{x}" Pos-Y="{y}">'
            + "".join(
                f'<TileJointInfo FlagJoined="1" Confidence="98" Direction="{way}" Tile1="{one}" '
                f'Tile2="{two}" OverlapX="{overlap:g}" OverlapY="{overlap:g}"/>'
                for way, one, two in joints
            )
            + "</ImageInfo>"
        )
        origins.append(f'<AOI{number} OriginX="{column * tile[0]}" OriginY="{row * tile[1]}"/>')
    return (
        f'<EncodeInfo Ver="2"><SlideStitchInfo>{"".join(infos)}</SlideStitchInfo>'
        f"<AoiOrigin>{''.join(origins)}</AoiOrigin></EncodeInfo>"
    )
