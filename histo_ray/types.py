"""The nouns of histo_ray: frozen values that cross module and process borders. No I/O.

Sizes are (width, height); array shapes are (height, width, channel). Coordinates are (x, y) of a
top-left corner in level-0 px. A unit stands in the name where it is not level-0 px.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Floats = npt.NDArray[np.float16] | npt.NDArray[np.float32]
Size = tuple[int, int]
"""(width, height)."""
MppSource = Literal["manifest", "file", "ome-xml", "imagej", "tiff-tags", "flag", "unknown"]


class Mpp(NamedTuple):
    """Microns per pixel along each axis."""

    x: float
    y: float


MARKS = frozenset({"true", "yes", "y", "1", "1.0"})
"""Cells of a column that say yes, in lower case."""
NO_MARKS = frozenset({"false", "no", "n", "0", "0.0", "", "none", "nan"})
"""Cells that say no, or nothing."""


def is_marked(cell: Any) -> bool:
    """Whether a cell of a table says yes."""
    return str(cell).strip().lower() in MARKS


def describe_mark(column: str, cell: Any) -> str:
    """What is wrong with a cell that shall say yes or no; empty if nothing."""
    if str(cell).strip().lower() in MARKS | NO_MARKS:
        return ""
    return f"{column} {str(cell)[:60]!r} says neither yes nor no; write true or false"


@dataclass(frozen=True)
class Slide:
    """One row of a manifest."""

    slide_id: str
    """Unique, safe as a file name."""
    path: str
    """Local path or URI of the slide file."""
    patient_id: str
    site: str = ""
    """Tissue source site or hospital; empty where unknown."""
    mpp: float | None = None
    """Microns per pixel from the manifest; overrides the file."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's further columns."""

    @property
    def synthetic(self) -> bool:
        """Whether the manifest's column `synthetic` marks it as nobody's tissue."""
        return is_marked(self.extra.get("synthetic"))


@dataclass(frozen=True)
class Pyramid:
    """Geometry of an opened slide."""

    slide_id: str
    mpp: Mpp
    """Of level 0."""
    mpp_source: MppSource
    level_sizes: tuple[Size, ...]
    """(width, height) of each level in that level's px; level 0 first, ever coarser."""

    @property
    def size(self) -> Size:
        """(width, height) of level 0."""
        return self.level_sizes[0]

    def downsample(self, level: int) -> tuple[float, float]:
        """Level-0 px per px of `level`, along x and y."""
        (width, height), (w, h) = self.level_sizes[0], self.level_sizes[level]
        return width / w, height / h


@dataclass(frozen=True)
class LevelRead:
    """How one tile is read: which level, how many of its px, and the exact extent to resample."""

    level: int
    downsample: tuple[float, float]
    """Level-0 px per level px, (x, y)."""
    extent: tuple[float, float]
    """Exact (width, height) of a tile in level px; in general not whole."""
    read_size: Size
    """(width, height) in level px to read: `extent` rounded up."""


@dataclass(frozen=True)
class TissueMask:
    """Where tissue is, over the whole slide."""

    pixels: npt.NDArray[np.bool_]
    """(height, width) bool."""
    downsample: tuple[float, float]
    """Level-0 px per mask px, (x, y)."""
    ink: npt.NDArray[np.bool_] | None = None
    """(height, width) bool, pen marks; None where nobody looked for them (a given mask)."""

    @property
    def tissue_share(self) -> float:
        """Share of the slide that is tissue, 0..1."""
        return float(self.pixels.mean())

    @property
    def ink_share(self) -> float | None:
        """Share of the slide that pen marks cover, 0..1."""
        return None if self.ink is None else float(self.ink.mean())


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a slide, row-major."""

    slide_id: str
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(N,) fraction of each tile that is tissue, 0..1."""
    side: tuple[float, float]
    """Exact (width, height) of a tile in level-0 px."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class TileBatch:
    """Some consecutive tiles of one slide."""

    slide_id: str
    start: int
    """tile_id of the first tile."""
    coords: npt.NDArray[np.int32]
    """(B, 2) top-left (x, y), level-0 px."""
    pixels: npt.NDArray[np.uint8]
    """(B, tile_px, tile_px, 3) RGB."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class TileRows:
    """Some consecutive rows of an embedding partition, before they are written."""

    coords: npt.NDArray[np.int32]
    """(n, 2) top-left (x, y), level-0 px."""
    tissue: npt.NDArray[np.float32]
    """(n,) tissue fraction, 0..1."""
    focus: npt.NDArray[np.float32]
    """(n,) variance of the Laplacian of luminance (0..255) at the tile's own mpp."""
    embeddings: Floats
    """(n, D)."""
    texts: Mapping[str, npt.NDArray[np.str_]] = field(default_factory=dict)
    """(n,) of each optional column that the partition has: `label`, `group`."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class Bag:
    """All embeddings of one slide."""

    slide_id: str
    coords: npt.NDArray[np.int32]
    """(N, 2) top-left (x, y), level-0 px."""
    embeddings: Floats
    """(N, D)."""

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True)
class LabelledBag(Bag):
    """All embeddings of one labelled tile set."""

    labels: tuple[str, ...]
    """(N,) class of each tile."""
    groups: tuple[str, ...] | None
    """(N,) patient of each tile; None where unknown."""


class PartitionKey(NamedTuple):
    """Identity of one embedding partition; all three are slugs or safe file names."""

    encoder: str
    tiling: str
    """Fingerprint of everything that changes pixels."""
    slide_id: str


_SLIDE_SINCE_2 = frozenset({"levels_left_out", "tissue_share", "ink_share"})
_ENCODER_SINCE_2 = frozenset({"resize_px", "pos_embed_resampled", "config_differs"})
"""Fields of receipts that the store's format has since version 2."""


class SlideFacts(BaseModel):
    """The slide's part of a receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slide_id: str
    patient_id: str
    site: str
    path: str
    fingerprint: str
    """SHA-256 over the file's size and its first and last 64 KiB; of a tile set, its digest."""
    size_px: Size
    """(width, height) of level 0; 0 for a tile set."""
    mpp: tuple[float, float]
    """(x, y) of level 0; 0 where unknown."""
    mpp_source: MppSource
    reader: str
    """Which reader served: `direct`, `openslide`, `image`, ..."""
    vendor: str
    levels_left_out: tuple[str, ...] = ()
    """A sentence on each level of the file that was not used, with the reason."""
    tissue_share: float | None = None
    """Share of the slide's area that is tissue, 0..1; None where every tile counts."""
    ink_share: float | None = None
    """Share that pen marks cover, 0..1; None where tissue was not computed."""

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing: programs of 0.1.0 refuse fields they do not know."""
        said: dict[str, Any] = handler(self)
        unused = _SLIDE_SINCE_2 - self.list_newer()
        return {name: value for name, value in said.items() if name not in unused}

    def list_newer(self) -> frozenset[str]:
        """Fields that say something and that programs of 0.1.0 do not know."""
        return frozenset(n for n in _SLIDE_SINCE_2 if getattr(self, n) not in ((), None))


class TilingFacts(BaseModel):
    """The tiling's part of a receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    settings: dict[str, Any]
    """All of `TilingConfig`."""
    level: int
    """Level read."""
    downsample: tuple[float, float]
    """Of that level, (x, y)."""
    side: tuple[float, float]
    """Exact (width, height) of a tile in level-0 px."""
    realised_mpp: tuple[float, float]
    """(x, y) mpp of the pixels the encoder saw."""
    tissue_method: str
    tissue_digest: str
    """SHA-256 of a given mask or GeoJSON file; empty for a computed mask."""
    stain_fit: dict[str, Any] | None = None
    """Fields of the slide's `MacenkoFit` or `ReinhardFit`; None without stain normalisation."""


class EncoderFacts(BaseModel):
    """The encoder's part of a receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Slug: the `encoder=` of the path."""
    request: str
    """What the user asked for, in full."""
    architecture: str
    weights_sha256: str
    dim: int
    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    pool: str
    dtype: Literal["float16", "float32"]
    """Of the stored vectors."""
    precision: str
    """The arithmetic they were computed in."""
    device: str
    batch_norm_folded: bool
    contract_broken: str
    """What of the encoder's tile contract was waived on request; empty if nothing."""
    resize_px: int | None = None
    """Edge to which tiles of another size than `input_px` were resized before their centre was cut
    out; None: the whole tile was resized to `input_px`."""
    pos_embed_resampled: str = ""
    """How the position embedding of the weights was resampled on request; empty if it was not."""
    config_differs: str = ""
    """Where the configuration of the weights' repository states other preparation than was used."""

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what 0.1.0 does not know only where it says something: 0.1.0 then reads it."""
        values: dict[str, Any] = serialise(self)
        unused = _ENCODER_SINCE_2 - self.list_newer()
        return {name: value for name, value in values.items() if name not in unused}

    def list_newer(self) -> frozenset[str]:
        """Fields that say something and that programs of 0.1.0 do not know."""
        return frozenset(name for name in _ENCODER_SINCE_2 if getattr(self, name))


class Receipt(BaseModel):
    """What a partition says of itself; stored inside it under the key `histo_ray`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    slide: SlideFacts
    tiling: TilingFacts
    encoder: EncoderFacts
    tile_count: int
    empty_reason: str
    """Why there is no tile, if there is none; else empty."""
    vectors_sha256: str
    """Over the C-order bytes of the (N, D) embeddings."""
    columns_sha256: str
    """Over tile_id, x, y, tissue and focus, in that order, as little-endian bytes."""
    library_version: str
    run_id: str
    created_at: str
    """UTC, ISO 8601."""
    text_columns: tuple[str, ...] = ()
    """Optional columns that it has: `label`, `group`."""
    texts_sha256: str = ""
    """Over these columns in canonical JSON; empty without any."""


class Outcome(StrEnum):
    """Fate of one slide and encoder in one run; the values stand in run tables."""

    DONE = "done"
    """Its partition was written by this run."""
    SKIPPED = "skipped"
    """Its partition was there before."""
    EMPTY = "empty"
    """It has no tile, which its partition says."""
    FAILED = "failed"
    """It has no partition, or one that no longer fits it."""


@dataclass(frozen=True)
class RunRow:
    """What became of one slide and encoder in one run."""

    slide_id: str
    encoder: str
    outcome: Outcome
    reason: str
    n_tiles: int
    seconds: float
    """From the slide's first work to its commit."""
    patient_id: str = ""
    """Of a slide; empty of a tile set."""
    synthetic: bool = False
    """Whether its manifest or tile table marks it as nobody's tissue."""
    site: str = ""
    """Of a slide, as in its manifest; empty where unknown."""
