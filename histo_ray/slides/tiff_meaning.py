"""What the pixels of a TIFF mean: colours, extra samples, orientation, and which image counts.

One set of rules for every TIFF, whichever reader serves it and whether it is a slide or a mask.
What a reader would have to guess is refused with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tifffile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from histo_ray.slides.tiff_resolution import count_ome_planes

Kind = Literal["rgb", "grey", "inverted grey", "palette", "cmyk"]
Alpha = Literal["none", "straight", "premultiplied"]

MOST_IMAGES = 1000
"""Directories of a TIFF that are looked at; no slide has more."""
_APERIO_JPEG2000 = (COMPRESSION.APERIO_JP2000_YCBC, COMPRESSION.APERIO_JP2000_RGB)
_OPENSLIDE_CODECS = (
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.JPEG,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.ZSTD,
    *_APERIO_JPEG2000,
)
_COLOUR_SAMPLES: dict[Kind, int] = {
    "rgb": 3,
    "grey": 1,
    "inverted grey": 1,
    "palette": 1,
    "cmyk": 4,
}
_ALPHA: dict[int, Alpha] = {
    EXTRASAMPLE.ASSOCALPHA: "premultiplied",
    EXTRASAMPLE.UNASSALPHA: "straight",
}
_STACKS = {
    "is_lsm": "a Zeiss LSM stack",
    "is_stk": "a MetaMorph stack",
    "is_fluoview": "an Olympus FluoView stack",
    "is_scanimage": "a ScanImage stack",
    "is_micromanager": "a Micro-Manager stack",
    "is_mdgel": "a Molecular Dynamics gel",
    "is_eer": "an electron microscope's movie",
}
_ORIENTATION, _BITS_PER_SAMPLE, _SAMPLE_FORMAT = 274, 258, 339
_INK_SET, _PHOTOMETRIC = 332, 262
"""Codes of tags; tifffile finds a tag much faster by its code than by its name."""
_UPRIGHT = (0, 1)
"""Values of Orientation that leave an image as it is stored; 0 is undefined, and ignored by all."""
_TO_RGB = "convert it to 8-bit RGB, for example with `vips copy` or Bio-Formats' bfconvert"


class MeaningError(Exception):
    """Why the pixels of a TIFF cannot be used: what is wrong, and what to do about it."""


@dataclass(frozen=True)
class Colours:
    """How the samples of one image make colours."""

    kind: Kind
    alpha: Alpha
    bits: int
    """Bits of each sample: 8, fewer for a palette, or 1."""
    openslide_agrees: bool
    """Whether OpenSlide turns these samples into the same colours (measured, see the tests)."""


def read_colours(page: tifffile.TiffPage) -> Colours:
    """Decide what the samples of an image mean.

    Args:
        page: A directory of a TIFF.

    Raises:
        MeaningError: They mean nothing, nothing known, or more than 8-bit colours can say.
    """
    check_orientation(page.tags.valueof(_ORIENTATION, 1))
    check_storage(page)
    _check_samples(page)
    kind = _read_kind(page)
    alpha = read_alpha(page, kind)
    bits = int(page.bitspersample)
    agrees = (
        bits == 8
        and page.compression in _OPENSLIDE_CODECS
        and (alpha == "none" or kind == "rgb")
        and (page.compression not in _APERIO_JPEG2000 or kind == "rgb")
    )
    return Colours(kind, alpha, bits, agrees)


def check_orientation(value: object) -> None:
    """Refuse an image whose tag says that it is stored turned or mirrored.

    Viewers differ in whether they follow the tag, so coordinates of such an image are ambiguous.

    Args:
        value: Value of the tag Orientation, in TIFF or EXIF; 1, the default, is upright.

    Raises:
        MeaningError: It is neither 1 nor the undefined 0.
    """
    if value not in _UPRIGHT:
        raise MeaningError(
            f"its Orientation tag is {value}, so it is stored turned or mirrored, and its "
            "coordinates could be meant either way; save it upright, without the tag (for "
            "example with `vips autorot`)"
        )


def check_images(tiff: tifffile.TiffFile, *, tiled_only: bool = False) -> tifffile.TiffPage:
    """The first image of a TIFF, if it is the one to read.

    Smaller images beside it may be levels, or a label; one of the same size is another channel,
    focal plane or time point, and a larger one means that the first is a preview.

    Args:
        tiff: The file.
        tiled_only: Whether only tiled images are compared: the thumbnail, label and picture of the
            glass in an SVS are in strips, and larger than a small region.

    Raises:
        MeaningError: There is no image, or it is not the only one of its size or larger.
    """
    count = len(tiff.pages)
    if not count:
        raise MeaningError("the TIFF holds no image: it is cut short; copy the file again")
    if count > MOST_IMAGES:
        raise MeaningError(
            f"the TIFF holds {count} images, which is a stack and no slide; export one image as "
            "8-bit RGB"
        )
    for flag, what in _STACKS.items():
        if getattr(tiff, flag, False):
            raise MeaningError(f"the file is {what}, not a slide; export one image as 8-bit RGB")
    first = tiff.pages.first
    others = [page for page in tiff.pages[1:] if isinstance(page, tifffile.TiffPage)]
    _check_others(first, [page for page in others if page.is_tiled or not tiled_only])
    if first.subifds:
        _check_others(first, first.pages or ())
    _check_planes(tiff, first)
    return first


def _check_others(first: tifffile.TiffPage, others: Sequence[object]) -> None:
    width, height = first.imagewidth, first.imagelength
    for other in others:
        if not isinstance(other, tifffile.TiffPage | tifffile.TiffFrame):
            continue
        page = other if isinstance(other, tifffile.TiffPage) else other.aspage()
        w, h = page.imagewidth, page.imagelength
        if (w, h) == (width, height):
            raise MeaningError(
                f"the TIFF holds several images of {width} x {height} px (channels, focal planes "
                "or time points); export one of them, or their merged colours, as 8-bit RGB"
            )
        if w * h > width * height:
            raise MeaningError(
                f"the first image of the TIFF ({width} x {height} px) is smaller than another "
                f"({w} x {h} px), so it is a preview and not the slide; convert the file "
                "to a pyramidal TIFF whose first image is the full resolution"
            )


def _check_planes(tiff: tifffile.TiffFile, first: tifffile.TiffPage) -> None:
    """Refuse channels and planes that are described only in the texts of a TIFF."""
    planes = 1
    if tiff.is_imagej:
        said = tiff.imagej_metadata or {}
        planes = max(_whole(said.get(key)) for key in ("images", "channels", "slices", "frames"))
        if first.samplesperpixel > 1 and planes == _whole(said.get("channels")):
            planes = 1  # the colours of one RGB image
    elif first.is_shaped and '"truncated"' in first.description:
        planes = 2
    elif tiff.is_ome:
        planes = count_ome_planes(first)
    if planes > 1:
        raise MeaningError(
            "the TIFF says that it holds several channels, focal planes or time points, not one "
            "image; export one of them, or their merged colours, as 8-bit RGB"
        )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 1


def check_storage(page: tifffile.TiffPage) -> None:
    """Refuse ways of storing samples that readers disagree on.

    Raises:
        MeaningError: The image is stored in such a way.
    """
    if page.imagedepth > 1:
        raise MeaningError(
            f"the image is a volume of {page.imagedepth} planes; export one plane as 8-bit RGB"
        )
    if page.fillorder != tifffile.FILLORDER.MSB2LSB:
        raise MeaningError(
            "the bits of its bytes are stored in reverse order (FillOrder 2), which readers treat "
            f"differently; {_TO_RGB}"
        )
    if page.compression == COMPRESSION.OJPEG:
        raise MeaningError(
            "the image is compressed by the old JPEG of TIFF (6), which is ambiguous; save it "
            "again as JPEG (7), LZW or deflate"
        )


def _check_samples(page: tifffile.TiffPage) -> None:
    """Refuse samples that are not unsigned numbers of one depth up to 8 bits."""
    stated = page.tags.valueof(_BITS_PER_SAMPLE, 1)
    depths = set(stated) if isinstance(stated, tuple) else {stated}
    formats = page.tags.valueof(_SAMPLE_FORMAT, 1)
    formats = set(formats) if isinstance(formats, tuple) else {formats}
    if formats - {1, 4}:
        raise MeaningError(
            f"its pixels are of type {page.dtype}, not unsigned 8-bit numbers; {_TO_RGB}"
        )
    if len(depths) > 1:
        raise MeaningError(f"its samples differ in depth ({sorted(depths)} bits); {_TO_RGB}")
    palette = page.photometric == PHOTOMETRIC.PALETTE
    bits = int(depths.pop())
    if bits not in ((1, 2, 4, 8) if palette else (1, 8)):
        raise MeaningError(
            f"its pixels have {bits} bits a sample, not 8, and which of their values are black "
            f"and white is not stated; {_TO_RGB}"
        )


def _read_kind(page: tifffile.TiffPage) -> Kind:
    photometric = page.photometric
    if page.tags.get(_PHOTOMETRIC) is None:
        raise MeaningError(f"the TIFF does not state what its pixels mean; {_TO_RGB}")
    if photometric == PHOTOMETRIC.YCBCR:
        if page.planarconfig != tifffile.PLANARCONFIG.CONTIG or page.compression not in (
            COMPRESSION.JPEG,
            COMPRESSION.APERIO_JP2000_YCBC,
        ):
            raise MeaningError(f"its colours are YCbCr without JPEG; {_TO_RGB}")
        return "rgb"  # decoders of JPEG turn them
    if photometric == PHOTOMETRIC.SEPARATED:
        ink_set = page.tags.valueof(_INK_SET, 1)
        if ink_set != 1 or page.compression == COMPRESSION.JPEG:
            what = "inks other than CMYK" if ink_set != 1 else "CMYK in JPEG"
            raise MeaningError(f"its colours are {what}; {_TO_RGB}")
        return "cmyk"
    if photometric == PHOTOMETRIC.PALETTE and page.colormap is None:
        raise MeaningError(f"it is a palette image without its table of colours; {_TO_RGB}")
    kinds: dict[int, Kind] = {
        PHOTOMETRIC.RGB: "rgb",
        PHOTOMETRIC.MINISBLACK: "grey",
        PHOTOMETRIC.MINISWHITE: "inverted grey",
        PHOTOMETRIC.PALETTE: "palette",
    }
    if photometric not in kinds:
        raise MeaningError(
            f"its colours are of kind {getattr(photometric, 'name', photometric)}, which is not "
            f"read; {_TO_RGB}"
        )
    return kinds[photometric]


def read_alpha(page: tifffile.TiffPage, kind: Kind) -> Alpha:
    """What the samples beyond the colours are.

    Raises:
        MeaningError: Not one alpha channel that the TIFF calls so.
    """
    needed, found = _COLOUR_SAMPLES[kind], int(page.samplesperpixel)
    if found < needed:
        raise MeaningError(
            f"it has {found} samples a pixel, where {kind.upper()} takes {needed}; {_TO_RGB}"
        )
    if found == needed:
        return "none"
    extra = [int(value) for value in page.extrasamples]
    if found == needed + 1 and kind in ("rgb", "grey") and len(extra) == 1 and extra[0] in _ALPHA:
        return _ALPHA[extra[0]]
    name = {"rgb": "RGB", "cmyk": "CMYK"}.get(kind, kind)
    raise MeaningError(
        f"it has {found} samples a pixel: {name} and {found - needed} more that the TIFF does not "
        "call alpha, as a multi-channel image has; export its merged colours as 8-bit RGB"
    )
