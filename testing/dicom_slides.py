"""Small DICOM slides, written here: one file a level, JPEG baseline frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import UID, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from testing.jpeg_slides import Kind, cut_tiles, encode_tile, texture
from testing.maker_slides import YCBCR, Draw, shrink

Table = Literal["basic", "none", "extended"]
SERIES = "1.2.826.0.1.3680043.8.498.1"


def write_dicom(
    folder: Path,
    size: tuple[int, int] = (1013, 771),
    *,
    kind: Kind = YCBCR,
    factors: Sequence[int] = (1, 4),
    full: bool = True,
    table: Table = "basic",
    missing: Sequence[tuple[int, int]] = (),
    undefined: bool = False,
    draw: Draw = texture,
) -> Path:
    """A slide of several levels.

    Args:
        folder: Where to write; made if it is not there.
        size: (width, height) of level 0.
        kind: How frames are encoded.
        factors: How often each level is smaller.
        full: Whether frames come in order (`TILED_FULL`); else each says where it is.
        table: How the file says where frames begin.
        missing: (level, tile) of tiles left out; not if `full`.
        undefined: Whether sequences and items end with a mark, in place of stating a length.
        draw: What level 0 shows.

    Returns:
        The file of level 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = draw(*size, 0)
    for level, factor in enumerate(factors):
        gone = {tile for at, tile in missing if at == level}
        data = _describe(level, factor, shrink(image, factor).shape[:2], kind)
        tiles = list(cut_tiles(shrink(image, factor), kind.tile))
        kept = [at for at in range(len(tiles)) if at not in gone]
        if not full:
            kept = kept[::-1]  # in an order of their own
        data.NumberOfFrames = len(kept)
        data.DimensionOrganizationType = "TILED_FULL" if full else "TILED_SPARSE"
        if not full:
            across = -(-data.TotalPixelMatrixColumns // kind.tile[0])
            data.PerFrameFunctionalGroupsSequence = [
                _place(at % across * kind.tile[0], at // across * kind.tile[1]) for at in kept
            ]
        frames = [encode_tile(tiles[at], kind) for at in kept]
        frames = [frame + bytes(len(frame) % 2) for frame in frames]
        if table == "extended":
            pixels, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = (
                encapsulate_extended(frames)
            )
        else:
            pixels = encapsulate(frames, has_bot=table == "basic")
        data.PixelData = pixels
        data["PixelData"].is_undefined_length = True
        if undefined:
            _leave_lengths_out(data)
        data.save_as(folder / f"level-{level}.dcm", enforce_file_format=True)
    return folder / "level-0.dcm"


def _describe(level: int, factor: int, shape: tuple[int, ...], kind: Kind) -> FileDataset:
    """All but the frames."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{SERIES}.{level + 1}")
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = (
        VLWholeSlideMicroscopyImageStorage,
        f"{SERIES}.{level + 1}",
    )
    data.SeriesInstanceUID, data.StudyInstanceUID = SERIES, f"{SERIES}.99"
    data.Modality = "SM"
    data.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns = shape[0], shape[1]
    data.TotalPixelMatrixFocalPlanes = 1
    data.NumberOfOpticalPaths = 1
    data.Columns, data.Rows = kind.tile
    data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
    data.PhotometricInterpretation = "RGB" if kind.rgb else "YBR_FULL_422"
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelRepresentation = 0
    measures, groups = Dataset(), Dataset()
    measures.PixelSpacing = [0.00025 * factor, 0.00025 * factor]
    groups.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [groups]
    return data


def _place(x: int, y: int) -> Dataset:
    """Functional groups of a frame whose corner is at a px, counted from 0."""
    position, group = Dataset(), Dataset()
    position.ColumnPositionInTotalImagePixelMatrix = x + 1
    position.RowPositionInTotalImagePixelMatrix = y + 1
    position.XOffsetInSlideCoordinateSystem = 1.5
    group.PlanePositionSlideSequence = [position]
    return group


def _leave_lengths_out(data: Dataset) -> None:
    for element in data:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _leave_lengths_out(item)
