"""Import one slide: open its files, settle scale and place, commit its vectors as they are."""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.config import IMPORTED_TILES, digest
from histo_ray.errors import HistoRayError, SlideError
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.scale import (
    KnownScale,
    Scale,
    count_repeated,
    place_tiles,
    settle_scale,
)
from histo_ray.store.exchange.source import ImportLayout, SourceSlide, SourceTiles, TileGeometry
from histo_ray.store.exchange.source_digest import SourceLook, digest_source, look_at_source
from histo_ray.store.partition import PartitionFacts, Shape, first_line
from histo_ray.store.store import Store
from histo_ray.types import (
    EncoderFacts,
    Floats,
    ImportFacts,
    JsonObject,
    Receipt,
    Slide,
    SlideFacts,
    TileRows,
    TilingFacts,
)

SOURCE_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, AttributeError),
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What h5py, torch, NumPy and zarr raise on damaged files."""
VERSION = 1
"""Raised whenever the meaning of an imported tiling's settings changes."""


@dataclass(frozen=True)
class KnownSlide:
    """A slide as manifest and slide file know it."""

    slide: Slide
    scale: KnownScale = field(default_factory=KnownScale)
    fingerprint: str = ""
    """Fingerprint of its file, where it was opened."""


@dataclass(frozen=True)
class ImportOrder:
    """What is the same for all slides of an import."""

    config: ImportConfig
    store: Store
    layout: ImportLayout
    folder: Path
    """That paths in receipts start from."""
    encoder: EncoderFacts
    source_encoder: str
    run_id: str
    damaged: frozenset[str] = frozenset()
    """Slides whose partitions of this encoder cannot be read; they are written over."""


@contextmanager
def opened(layout: ImportLayout, slide: SourceSlide) -> Iterator[SourceTiles]:
    """The tiles of a slide; what libraries raise on its files is that slide's fate.

    Raises:
        SlideError: They cannot be read, or lack something.
    """
    if slide.problem:
        raise SlideError(slide.name, f"{slide.problem}; leave one of them in the folder")
    with reading(slide), layout.open(slide) as tiles:
        yield tiles


@contextmanager
def reading(slide: SourceSlide) -> Iterator[None]:
    """Turn what libraries raise on damaged files into the slide's own error."""
    try:
        yield
    except HistoRayError:  # the store's own, or told already
        raise
    except SOURCE_ERRORS as error:
        name = slide.files[0].name if slide.files else slide.name
        raise SlideError(
            slide.name,
            f"{name} cannot be read ({first_line(error)}), so it is damaged or was not finished; "
            "make it again, and the same command imports it",
        ) from error


class Imported(NamedTuple):
    """What became of a slide that could be imported."""

    receipt: Receipt
    remark: str
    """Empty where there is nothing to be said."""
    written: bool
    """False: the store had the same already."""


def import_slide(
    order: ImportOrder, source: SourceSlide, known: KnownSlide, before: Receipt | None
) -> Imported:
    """Bring one slide into the store.

    Args:
        order: The import.
        source: Its files.
        known: What manifest and slide say of it.
        before: What the store has of it from an earlier import; replaced if it differs.

    Raises:
        SlideError: It cannot be imported; the store has what it had.
    """
    with reading(source):
        look = look_at_source(source.files)
        sha256 = digest_source(source.files)
    with opened(order.layout, source) as tiles:
        facts, corners = _make_facts(order, source, tiles, known)
        imported = ImportFacts(
            layout=order.layout.name,
            encoder=order.source_encoder,
            files=tuple(_relative(path, order.folder) for path in source.files),
            sha256=sha256,
            size_bytes=look.size_bytes,
            mtime_ns=look.mtime_ns,
            stated=dict(tiles.stated),
        )
        if before is not None and _is_same(before, facts, sha256):
            return Imported(before, "", written=False)
        rows = unchanged(source, look, _read_rows(order, source, tiles, corners))
        receipt = order.store.commit(
            facts.key,
            replace(facts, imported=imported),
            rows,
            order.config.format,
            replace=before is not None or known.slide.slide_id in order.damaged,
        )
        remark = _remark(corners, tiles.geometry, facts.slide)
        return Imported(receipt, remark, written=True)


def _is_same(before: Receipt, facts: PartitionFacts, sha256: str) -> bool:
    """Whether an earlier import was of the same bytes and means the same."""
    same = before.imported is not None and before.imported.sha256 == sha256
    return same and (before.slide, before.tiling, before.encoder) == (
        facts.slide,
        facts.tiling,
        facts.encoder,
    )


def unchanged(
    source: SourceSlide, look: SourceLook, rows: Iterator[TileRows]
) -> Iterator[TileRows]:
    """Pass rows on, and refuse them in the end if the files changed since they were digested.

    Raises:
        SlideError: They did.
    """
    yield from rows
    with reading(source):
        now = look_at_source(source.files)
    if now != look:
        raise SlideError(
            source.name, "its files were changed while they were read; run the command again"
        )


def _make_facts(
    order: ImportOrder, source: SourceSlide, tiles: SourceTiles, known: KnownSlide
) -> tuple[PartitionFacts, npt.NDArray[np.int32]]:
    """What the receipt shall say, and the corners of tiles."""
    geometry, slide = tiles.geometry, known.slide
    scale = settle_scale(source.name, geometry, known.scale, order.config.stated_scale)
    size = known.scale.size_px or geometry.size_px
    corners = place_tiles(source.name, tiles.coords, tiles.in_microns, scale, size)
    about = SlideFacts(
        slide_id=slide.slide_id,
        patient_id=slide.patient_id,
        site=slide.site,
        path=slide.path or geometry.slide_path,
        fingerprint=known.fingerprint,
        size_px=size or (0, 0),
        mpp=scale.mpp,
        mpp_source=scale.mpp_source,
        reader="",
        vendor="",
    )
    empty = "" if len(corners) else f"{source.files[0].name} holds no tile"
    tiling = describe_tiling(order.layout.name, geometry, scale)
    return PartitionFacts(about, tiling, order.encoder, order.run_id, empty), corners


def describe_tiling(layout: str, geometry: TileGeometry, scale: Scale) -> TilingFacts:
    """The tiling of an imported slide. Pure.

    Its fingerprint is over what the source itself states of all slides alike: layout, size, mpp or
    magnification, and step of its tiles. Flags and the scale of the slide are no part of it.
    """
    fixed: JsonObject = {
        "imported_from": layout,
        "tile_px": geometry.tile_px or 0,
        "mpp": geometry.tile_mpp or 0.0,
        "magnification": geometry.magnification,
        "stride_px": geometry.stride_px,
    }
    return TilingFacts(
        fingerprint=IMPORTED_TILES + digest({"version": VERSION, **fixed})[:12],
        settings={**fixed, "tile_px": scale.tile_px, "mpp": scale.tile_mpp},
        level=geometry.level,
        downsample=(0.0, 0.0),
        side=scale.side,
        realised_mpp=scale.realised_mpp,
        tissue_method="imported",
        tissue_digest="",
    )


def _read_rows(
    order: ImportOrder, source: SourceSlide, tiles: SourceTiles, corners: npt.NDArray[np.int32]
) -> Iterator[TileRows]:
    """All rows in blocks; memory holds one.

    Raises:
        SlideError: The vectors are other than those of the encoder, or not finite.
    """
    count, vectors, about = len(corners), tiles.vectors, order.encoder
    if not count:
        return
    check_vectors(source, vectors.shape, vectors.dtype, order)
    step = Shape(source.name, about.dim, about.dtype).block_rows
    unknown = np.full(count, np.nan, np.float32)
    tissue = unknown if tiles.tissue is None else tiles.tissue
    if tissue.shape != (count,):
        raise SlideError(source.name, f"{tissue.shape} tissue fractions for {count} tiles")
    for start in range(0, count, step):
        with reading(source):
            block = vectors.read(start, min(count, start + step))
        rows = slice(start, start + len(block))
        floats = _as_floats(source, block, about, start)
        yield TileRows(corners[rows], tissue[rows], unknown[rows], floats)


def check_vectors(
    source: SourceSlide, shape: tuple[int, ...], dtype: np.dtype[np.generic], order: ImportOrder
) -> None:
    """Refuse vectors of another length than the encoder's, or of a type that must be asked for.

    Raises:
        SlideError: They are such.
    """
    about = order.encoder
    if shape[1] != about.dim:
        raise SlideError(
            source.name,
            f"vectors of {shape[1]} numbers, where encoder {about.name} has {about.dim}: they are "
            "of another encoder; import them under another --encoder",
        )
    if dtype.kind != "f":
        raise SlideError(source.name, f"vectors are {dtype}, not floating-point numbers")
    narrowed = dtype.itemsize > np.dtype(about.dtype).itemsize
    if order.config.dtype is None and dtype.newbyteorder("=") != np.dtype(about.dtype):
        how = "rounds" if narrowed else "holds"
        raise SlideError(
            source.name,
            f"vectors are {dtype}, where encoder {about.name} has {about.dtype}: --dtype "
            f"{about.dtype} {how} them, under an --encoder of its own if the store has others",
        )


def _as_floats(
    source: SourceSlide, block: npt.NDArray[np.generic], about: EncoderFacts, start: int
) -> Floats:
    with np.errstate(over="ignore"):  # told below
        floats: Floats = np.ascontiguousarray(block.astype(about.dtype, copy=False))
    finite = np.isfinite(floats).all(axis=1)
    if not finite.all():
        bad = start + int(np.argmin(finite))
        own = np.isfinite(np.asarray(block[bad - start], np.float64)).all()
        why = "has a number beyond float16; use --dtype float32" if own else "holds inf or nan"
        raise SlideError(source.name, f"the vector of tile {bad} {why}; the slide is left out")
    return floats


def _remark(corners: npt.NDArray[np.int32], geometry: TileGeometry, slide: SlideFacts) -> str:
    parts = []
    if repeated := count_repeated(corners):
        parts.append(f"{repeated} of {len(corners)} tiles lie where another one does; all are kept")
    if not slide.mpp[0]:
        shown = (
            f" (only a magnification, {geometry.magnification:g})" if geometry.magnification else ""
        )
        parts.append(f"mpp is unknown{shown}; the manifest, its slides or --slide-mpp can give it")
    return "; ".join(parts)


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
