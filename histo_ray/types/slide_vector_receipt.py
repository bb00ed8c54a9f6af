"""Identity of a slide's vector, and the receipt that it carries. No I/O."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class SlideVectorKey(NamedTuple):
    """Identity of one slide vector; all are slugs or safe file names."""

    slide_encoder: str
    encoder: str
    """Tile encoder."""
    tiling: str
    slide_id: str


class SlideEncoderFacts(BaseModel):
    """The slide encoder's part of a receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Slug: the `encoder=` of the path below `slides/`."""
    request: str
    """What the user asked for, in full."""
    method: str
    """The published method that it is."""
    weights_sha256: str
    """SHA-256 of its weights; of its settings where there are none."""
    dim: int
    """Length of the vector."""
    licence: str
    seed: int | None = None
    """Seed of what is drawn at random; None: nothing is."""
    precision: str = "float32"
    device: str = "cpu"
    plugin: str = ""
    """Python plugin, as `module:object of PACKAGE VERSION`; empty: none."""
    code_revision: str = ""
    """Commit of the repository whose Python code encoded, at the user's wish; empty: none did."""
    contract_broken: str = ""
    """What of its contract was waived on request; empty if nothing."""


class TileInput(BaseModel):
    """The partition that was encoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the store, without its form."""
    encoder: str
    """Tile encoder, as the store calls it."""
    encoder_weights_sha256: str
    tiling: str
    tile_count: int
    vectors_sha256: str
    """As the partition's receipt says: digest of its vectors."""
    columns_sha256: str
    """Likewise, of tile_id, x, y, tissue and focus."""


class SlideVectorReceipt(BaseModel):
    """What a slide's vector says of itself; stored inside its file under the key `histo_ray`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    slide_id: str
    patient_id: str
    slide_encoder: SlideEncoderFacts
    input: TileInput
    vector_sha256: str
    """Over the little-endian bytes of the vector, float32."""
    library_version: str
    run_id: str
    created_at: str
    """UTC, ISO 8601."""
