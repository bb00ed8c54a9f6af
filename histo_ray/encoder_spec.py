"""What tells one encoder from another: a typed description, stored in cards and fingerprints."""

from typing import Annotated, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from histo_ray.settings import Settings
from histo_ray.types import JsonObject

Rgb = tuple[float, float, float]
EncoderPool = Literal["timm", "avg", "token", "cls+mean"]
TileEdge = Annotated[int, Field(ge=8, le=4096)]
Microns = Annotated[float, Field(gt=0)]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,149}$"
"""Names of encoders become parts of paths: stores take no others."""
REVISION_PATTERN = r"^[0-9a-f]{40}$"
"""A commit of a repository, in full: a branch or tag may mean other code tomorrow."""
_NEWER = (
    "resize_px", "rotations", "library", "remote_code", "code_revision", "weights_file",
    "weights_prefix", "plugin", "plugin_package", "preprocessing",
)  # fmt: skip
"""Fields that older programs and fingerprints do not know."""


class EncoderSpec(Settings):
    """Everything that tells one encoder from another.

    `resolve` may leave dim, input_px, mean, std and interpolation open: timm or the weights
    know them. The spec of a loaded encoder has them all.
    """

    name: str = Field(pattern=NAME_PATTERN)
    """Slug: the `encoder=` of a partition's path."""
    request: str
    """What the user asked for, in full."""
    source: Literal["timm", "hub", "file", "random", "store", "plugin"]
    """Where weights come from: timm's own, a hub repository, a local file, nowhere, a store, or
    wherever a Python plugin has them."""
    architecture: str
    """timm name; `hf-hub:org/name` while only the repository knows it; `module:object` of a
    plugin."""
    library: Literal["timm", "transformers"] = "timm"
    """What builds the network; of transformers, `architecture` is the name of a class."""
    remote_code: bool = False
    """Whether the network is Python code of the repository, which runs only where the user names
    the revision that may run (`code_revision`)."""
    code_revision: str | None = Field(None, pattern=REVISION_PATTERN)
    """Commit of the repository whose code and weights are used."""
    weights_file: str | None = None
    """Name of the weights in the repository, where it is none of the usual ones."""
    weights_prefix: str = ""
    """First letters of the names of the weights that belong to the network; all others are left
    out."""
    plugin: str | None = None
    """Python plugin that encodes, as `module:object`; the network is then its own affair."""
    plugin_package: str = ""
    """Name and version of the installed package that brings the plugin; empty for a module."""
    preprocessing: str = ""
    """What a plugin does with tiles, in its words; empty where mean and std say it all."""
    hub: str | None = None
    """Repository `org/name` or `org/name@revision` that holds the weights."""
    file: str | None = None
    """Local weights (.safetensors, .pth, .pt, .bin), in place of `hub` and of timm's own."""
    published: str | None = None
    """Store that holds the weights, published by fine-tuning."""
    published_name: str | None = None
    """Name of the weights in that store."""
    weights_sha256: str | None = None
    """What the weights must be; None: whatever is there."""
    seed: int | None = Field(None, ge=0)
    """Seed of random weights."""
    dim: int | None = Field(None, ge=1)
    input_px: int | None = Field(None, ge=8, le=4096)
    """Edge of what the network sees; tiles of another size are resized to it."""
    resize_px: int | None = Field(None, ge=8, le=4096)
    """Edge to which tiles of another size than `input_px` are resized instead; the network then
    sees their centre. None: it sees the whole tile."""
    tile_px: TileEdge | tuple[TileEdge, ...] | None = None
    """Tile contract: edge of a tile in px, or several that will do; None accepts any."""
    mpp: Microns | tuple[Microns, ...] | None = None
    """Tile contract: microns per pixel of a tile, or several that will do; None accepts any."""
    stain: Literal["none", "macenko", "reinhard"] | None = None
    """Tile contract: how tiles' stain is normalised; None accepts any."""
    mean: Rgb | None = None
    """Per channel, of pixels scaled to 0..1."""
    std: Rgb | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None
    pool: EncoderPool = "timm"
    """`timm`: the network's own; `cls+mean`: class token beside the mean of patch tokens."""
    rotations: Literal[4, 8] | None = None
    """A vector is the mean over the four quarter turns of its tile, or over these and their mirror
    images (8); the network runs as many times. None: the tile as it is."""
    timm_kwargs: JsonObject = Field(default_factory=dict)
    """Construction arguments of the timm network."""
    licence: str = ""
    """Licence of the weights."""
    gated: bool = False
    """Whether the repository needs a token and an accepted licence."""
    about: str = ""
    sources: dict[str, str] = Field(default_factory=dict, exclude=True)
    """Where facts of an entry were read, by fact: URL of a model card or file."""
    pos_embed_resampled: str = Field("", exclude=True)
    """Known once loaded: how its position embedding was resampled, as "37x37 to 16x16"."""
    config_differs: str = Field("", exclude=True)
    """Known once loaded: where the repository's own configuration says something else."""

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        """Write what is newer only where it is set: older fingerprints do not know it.

        `resize_px` came after 0.1.0, `rotations` after 0.4.0, plugins with 0.5.0.
        """
        values: JsonObject = serialise(self)
        for name in _NEWER:
            if name in values and values[name] == type(self).model_fields[name].default:
                del values[name]
        return values

    @model_validator(mode="after")
    def _check_resize(self) -> Self:
        if self.resize_px and self.input_px and self.resize_px < self.input_px:
            raise ValueError(
                f"resize_px {self.resize_px} is smaller than input_px {self.input_px}: "
                "the network would see beyond the tile"
            )
        return self
