"""Identity of an embedding partition, and the receipt that it carries. No I/O."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from histo_ray.types.json_object import JsonObject
from histo_ray.types.slide_types import MppSource, Size


class PartitionKey(NamedTuple):
    """Identity of one embedding partition; all three are slugs or safe file names."""

    encoder: str
    tiling: str
    """Fingerprint of everything that changes pixels."""
    slide_id: str


_SLIDE_SINCE_2 = frozenset({"levels_left_out", "tissue_share", "ink_share"})
_ENCODER_SINCE_2 = frozenset({"resize_px", "pos_embed_resampled", "config_differs", "rotations"})
"""Fields of receipts that the store's format has since version 2."""
_ENCODER_SINCE_4 = frozenset({"plugin", "preprocessing", "licence", "code_revision"})
"""Fields that it has since version 4."""
UNKNOWN_WEIGHTS = "unknown"
"""Stands for the digest of weights in receipts of imported partitions where nobody gave one."""


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
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        """Without what says nothing: programs of 0.1.0 refuse fields they do not know."""
        said: JsonObject = handler(self)
        unused = _SLIDE_SINCE_2 - self.list_newer()
        return {name: value for name, value in said.items() if name not in unused}

    def list_newer(self) -> frozenset[str]:
        """Fields that say something and that programs of 0.1.0 do not know."""
        return frozenset(n for n in _SLIDE_SINCE_2 if getattr(self, n) not in ((), None))


class SegmenterFacts(BaseModel):
    """The segmenter that found a slide's tissue: a part of receipts since version 4."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plugin: str
    """`module:object of PACKAGE VERSION`."""
    weights_sha256: str
    licence: str
    revision: str
    """Version or commit of its code and weights, in its words."""
    mpp: float
    """Microns per px of what it saw."""
    input_px: int | None
    """Edge of the squares that it saw, in px; None: the whole slide at once."""
    classes: tuple[str, ...]
    """All that it tells apart."""
    taken: tuple[str, ...]
    """Those that counted as tissue."""


class TilingFacts(BaseModel):
    """The tiling's part of a receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    settings: JsonObject
    """All of `TilingConfig`."""
    level: int
    """Level read; -1 where unknown (imported)."""
    downsample: tuple[float, float]
    """Downsample (x, y) of that level; 0 where unknown (imported)."""
    side: tuple[float, float]
    """Exact (width, height) of a tile in level-0 px."""
    realised_mpp: tuple[float, float]
    """(x, y) mpp of the pixels the encoder saw; 0 where unknown (imported)."""
    tissue_method: str
    tissue_digest: str
    """SHA-256 of a given mask or GeoJSON file; empty for a computed mask."""
    stain_fit: JsonObject | None = None
    """Fields of the slide's `MacenkoFit` or `ReinhardFit`; None without stain normalisation."""
    segmenter: SegmenterFacts | None = None
    """What found tissue; None where no plugin did."""

    @model_serializer(mode="wrap")
    def _leave_out_segmenter(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        """Write what 0.4.0 does not know only where it says something."""
        said: JsonObject = handler(self)
        if self.segmenter is None:
            del said["segmenter"]
        return said


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
    """Element type of the stored vectors."""
    precision: str
    """The arithmetic they were computed in."""
    device: str
    """`cpu`, `cpu, OpenVINO <version>` or `cuda (<card>)`, and the machine in brackets; several, if
    workers on unlike devices encoded it, with ` + ` between."""
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
    rotations: int | None = None
    """Orientations of each tile whose vectors were averaged, 4 or 8; None: the tile as it was."""
    plugin: str = ""
    """Python plugin that encoded, as `module:object of PACKAGE VERSION`; empty if none did."""
    preprocessing: str = ""
    """What the plugin did with tiles, in its words; mean 0 and std 1 then stand for none stated."""
    licence: str = ""
    """Licence of a plugin's weights."""
    code_revision: str = ""
    """Commit of the repository whose Python code encoded, at the user's wish; empty if none did."""
    imported_from: str = ""
    """Layout that the vectors were imported from; empty if they were encoded here."""

    @property
    def engine(self) -> str:
        """What ran the network: `cpu`, `OpenVINO` or `cuda`; other engines, other rounding."""
        kind, _, library = self.device.partition(" (")[0].partition(", ")
        return library.partition(" ")[0] or kind

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        """Write what 0.1.0 does not know only where it says something: 0.1.0 then reads it."""
        values: JsonObject = serialise(self)
        unused = _ENCODER_SINCE_2 - self.list_newer()
        if not self.imported_from:  # since version 3
            unused |= {"imported_from"}
        unused |= _ENCODER_SINCE_4 - self.list_newest()
        return {name: value for name, value in values.items() if name not in unused}

    def list_newer(self) -> frozenset[str]:
        """Fields that say something and that programs of 0.1.0 do not know."""
        return frozenset(name for name in _ENCODER_SINCE_2 if getattr(self, name))

    def list_newest(self) -> frozenset[str]:
        """Fields that say something and that programs of 0.4.0 do not know."""
        return frozenset(name for name in _ENCODER_SINCE_4 if getattr(self, name))


class ImportFacts(BaseModel):
    """Where an imported partition comes from: a part of receipts since version 3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    """Name of the layout it was read as: `trident`, `clam`, ..."""
    encoder: str
    """Encoder's name in the source; empty where it does not say."""
    files: tuple[str, ...]
    """Files and folders that were read, as paths below the imported folder."""
    sha256: str
    """Digest of the file; of several, or a folder, over the paths and digests of its files."""
    size_bytes: int
    """Bytes of all of them."""
    mtime_ns: int
    """Newest change among them: a source that looks the same is not read again."""
    stated: JsonObject
    """What the source states of the slide and its tiles: attributes, as they stand there."""


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
    imported: ImportFacts | None = None
    """Where it was imported from; None if it was made here."""

    @model_serializer(mode="wrap")
    def _leave_out_import(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        """Write what 0.3.0 does not know only where it says something."""
        values: JsonObject = serialise(self)
        if self.imported is None:
            del values["imported"]
        return values


@dataclass(frozen=True, eq=False)
class KeptTiles:
    """The tiles of a partition that a condition keeps."""

    rows: npt.NDArray[np.int64]
    """(n,) their tile_ids, ascending."""
    whole: int
    """Tiles of the partition."""
    sha256: str
    """Digest of `rows` and `whole`."""


class ChosenReceipt(Receipt):
    """Receipt of the tiles that a condition keeps, as if a partition held no others.

    Never written. `tile_count` is that of the tiles that are kept, and `columns_sha256` another for
    other tiles; whoever reads more tiles than these finds a wrong count, which is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kept: InstanceOf[KeptTiles] = Field(exclude=True)
