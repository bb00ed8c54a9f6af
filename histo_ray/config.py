"""Typed settings. Frozen, unknown keys refused; every field is also a flag of the command line."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from histo_ray.settings import Settings as Settings
from histo_ray.settings import parse_settings as parse_settings
from histo_ray.settings import parse_toml as parse_toml

TILING_VERSION = 1
"""Raised whenever the code changes a pixel or a tile for the same settings."""
TISSUE_VERSION = 2
"""Stands in its place where tissue is computed: raised, too, when a computed mask changes. 2: red
ink no longer takes eosin with it, and ink does not enter the threshold."""
NO_RAY = "none"
"""Address of a run without Ray, in the calling process."""
GIVEN_TILES = "x"
"""First letter of the tilings of tile sets. It sorts behind the `t` of slides, so that a reader
which takes its columns from the first file does not expect labels everywhere."""
IMPORTED_TILES = "i"
"""First letter of the tilings of slides whose features were imported."""


GIVEN_SLIDE = "{slide_id}"
"""What stands for a slide in the pattern of its given mask."""
SEGMENTER_MARK = "#"
"""Between the name of a segmenter and the digest that a run pins it to."""
TissueKind = Literal["otsu", "none", "mask", "segmenter"]


def tissue_kind(tissue: str) -> TissueKind:
    """How a `--tissue` finds tissue: by a method of ours, a given mask, or a segmenter. Pure."""
    methods: dict[str, TissueKind] = {"otsu": "otsu", "none": "none"}
    return methods.get(tissue, "mask" if GIVEN_SLIDE in tissue else "segmenter")


PLACEMENT = frozenset({"encoder_gpus", "accelerator_type", "encoder_label", "reader_label"})
"""Settings that came later and say where processes run: digests hold them only where stated."""
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(
    rf"(?:[A-Za-z0-9.-]+/)?{_NAME}=!?(?:{_NAME}|in\({_NAME}(?:, ?{_NAME})*\))", re.A
)


class TilingConfig(Settings):
    """Everything that changes which tiles there are and what is in them."""

    mpp: float = Field(default=0.5, ge=0.05, le=20, description="microns per pixel of the tiles")
    tile_px: int = Field(
        default=224, ge=16, le=4096, description="edge of a tile, in pixels at --mpp"
    )
    stride_px: int | None = Field(
        default=None, ge=1, description="step between tiles, in pixels at --mpp (default: tile_px)"
    )
    tissue: str = Field(
        default="otsu",
        description="otsu | none | a pattern of mask or GeoJSON files, as in masks/{slide_id}.png "
        "| a segmenter: module:factory, or the name of an installed one",
    )
    min_tissue: float = Field(
        default=0.25, ge=0, le=1, description="least tissue fraction of a kept tile"
    )
    mask_mpp: float = Field(default=8.0, ge=1, le=64, description="resolution of the tissue mask")
    min_area_um2: float = Field(
        default=10_000.0, ge=0, description="smaller pieces of tissue are dropped"
    )
    max_hole_um2: float = Field(
        default=40_000.0, ge=0, description="smaller holes in tissue are filled"
    )
    close_um: float = Field(
        default=40.0, ge=0, description="gaps in tissue up to this width are closed"
    )

    stain: Literal["none", "macenko", "reinhard"] = Field(
        default="none", description="stain normalisation, fitted once a slide on some of its tiles"
    )

    mask_classes: tuple[str, ...] = Field(
        default=(),
        description="class of a GeoJSON mask or a segmenter, or value of a mask image, that counts "
        "as tissue; may be repeated (default: all but QuPath's Ignore*, all but 0, or what the "
        "segmenter states)",
    )

    @property
    def stride(self) -> int:
        """Step between tiles in px at `mpp`."""
        return self.stride_px or self.tile_px

    def fingerprint(self) -> str:
        """`t` and 12 hex digits, the `tiling=` of a path; no reader takes it for a number.

        A tiling keeps its name as long as the same settings give the same tiles.
        """
        version = TISSUE_VERSION if self.tissue == "otsu" else TILING_VERSION
        return self._name(version)

    def older_fingerprints(self) -> list[str]:
        """Names of tilings of the same settings whose tissue earlier versions found otherwise."""
        computed = self.tissue == "otsu"
        return [self._name(old) for old in range(1, TISSUE_VERSION)] if computed else []

    def _name(self, version: int) -> str:
        kind = tissue_kind(self.tissue)
        tissue = "given" if kind == "mask" else kind
        settings = self.model_dump() | {"stride_px": self.stride, "tissue": tissue}
        if kind == "segmenter":
            settings["segmenter"] = self._segmenter_digest()
        if self.stain == "none":  # so that older fingerprints stay
            del settings["stain"]
        classes = sorted({name.strip().lower() for name in self.mask_classes})
        settings["mask_classes"] = classes
        if not classes:  # so that older fingerprints stay
            del settings["mask_classes"]
        if tissue != "otsu":  # these change a computed mask only
            for key in ("mask_mpp", "min_area_um2", "max_hole_um2", "close_um"):
                del settings[key]
        return "t" + digest({"version": version, **settings})[:12]

    def _segmenter_digest(self) -> str:
        """The digest that `tissue` is pinned to.

        Raises:
            ValueError: It is not pinned: its masks could be anything.
        """
        _, _, pinned = self.tissue.partition(SEGMENTER_MARK)
        if not pinned:
            raise ValueError(f"--tissue {self.tissue} is not settled: it names no tiling yet")
        return pinned


class EngineConfig(Settings):
    """Which encoders run, where their vectors go, and what the work is done with."""

    store: str = Field(description="folder or s3:// or gs:// URI of the feature store")
    encoder: tuple[str, ...] = Field(
        min_length=1, description="encoder to run; repeat it for several from one read"
    )
    encoder_table: tuple[str, ...] = Field(
        default=(), description="TOML file with encoders of your own; may be repeated"
    )
    trust_remote_code: tuple[str, ...] = Field(
        default=(),
        description="run the Python code of an encoder's repository at this commit (40 digits); "
        "NAME=COMMIT for one of several; may be repeated",
    )
    allow_contract_break: bool = Field(
        default=False,
        description="accept a tile size or mpp that an encoder was not made for; recorded",
    )
    format: Literal["parquet", "zarr"] = Field(
        default="parquet", description="form of the partitions"
    )
    dtype: Literal["float16", "float32"] = Field(
        default="float16", description="of the stored vectors"
    )
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        default="auto",
        description="arithmetic of the encoder; auto: float32 on CPU, float16 on GPU",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where encoders run")
    engine: Literal["torch", "openvino"] = Field(
        default="torch",
        description="what runs the network; openvino: on CPU, an extra to be installed",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="tiles encoded at once (default: 16 a thread on CPU; on GPU 128 of 224 px, "
        "and by tiles' size and free memory)",
    )
    readers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="reader processes (default: from the cluster's CPUs)",
    )
    encoder_workers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="processes per encoder (default: one a GPU, or one on CPU)",
    )
    encoder_threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads of an encoder process (default: all cores of a node)",
    )
    encoder_gpus: float | None = Field(
        default=None,
        ge=0.0001,
        le=1,
        description="share of a GPU that an encoder process takes (default: 1, or less where "
        "--encoder-workers are more than the GPUs)",
    )
    accelerator_type: str | None = Field(
        default=None,
        description="encode on GPUs of this kind only, as Ray names it: A100, H100, L4, ...",
    )
    encoder_label: tuple[str, ...] = Field(
        default=(),
        description="encode on nodes with this label of Ray only: KEY=VALUE, KEY=!VALUE, "
        "KEY=in(A,B); may be repeated",
    )
    reader_label: tuple[str, ...] = Field(
        default=(), description="read on nodes with this label of Ray only; may be repeated"
    )
    replace_changed: bool = Field(
        default=False,
        description="extract again what has changed since it was stored",
    )
    address: str = Field(
        default="local",
        description="Ray to run on: local, auto (a running one), or ray://host:port; none: no Ray, "
        "all work in this process; where it is not given, small work needs no Ray either",
    )

    @model_validator(mode="after")
    def _labels_of_nodes(self) -> Self:
        for flag, stated in (
            ("--encoder-label", self.encoder_label),
            ("--reader-label", self.reader_label),
        ):
            check_labels(flag, stated)
        return self

    @model_validator(mode="after")
    def _no_encoder_twice(self) -> Self:
        if len(set(self.encoder)) != len(self.encoder):
            raise ValueError(
                f"--encoder: the same one is given twice ({', '.join(self.encoder)}); name it once"
            )
        return self

    @model_validator(mode="after")
    def _openvino_on_cpu(self) -> Self:
        if self.engine == "openvino" and self.device == "cuda":
            raise ValueError(
                "--engine openvino runs on CPUs only; leave out --device cuda or --engine openvino"
            )
        if self.engine == "openvino" and self.precision == "float16":
            raise ValueError(
                "--engine openvino computes in no float16 on CPUs; use --precision float32 or "
                "bfloat16"
            )
        return self


class ExtractConfig(EngineConfig, TilingConfig):
    """One extraction: slides of a manifest, encoders, and how to run them."""

    manifest: str = Field(description="CSV or Parquet, one row a slide: slide_id, path, ...")
    slide_mpp: float | None = Field(
        default=None,
        ge=0.05,
        le=20,
        description="mpp of slides that state none, in file or manifest",
    )
    slide_reader: str = Field(
        default="auto",
        description="what reads slides, to the same pixels; auto: direct where it can, else the "
        "others; any other name: that one or the slide fails",
    )
    tiles: Literal["given", "native"] = Field(
        default="given",
        description="given: --tile-px and --mpp for every encoder that states no others "
        "(NAME@px=256,mpp=0.5); native: those that each encoder was made for, from one read",
    )
    cache_dir: str | None = Field(
        default=None,
        description="folder on each node's local disk for slides of object stores that cannot be "
        "read by ranges (default: one in the temporary folder)",
    )
    cache_gb: float | None = Field(
        default=None,
        gt=0,
        description="bound of that folder in GB, whoever shares it (default: 50, or half of the "
        "disk's free space)",
    )
    log: str | None = Field(
        default=None,
        description="file that gets a line of JSON for each slide with an outcome, and one for "
        "the run; it is appended to; - is stderr",
    )

    @property
    def tiling(self) -> TilingConfig:
        """The part that changes pixels."""
        return TilingConfig(**{key: getattr(self, key) for key in TilingConfig.model_fields})


class TileSetConfig(EngineConfig):
    """One extraction of labelled tile sets, whose tiles are encoded as they are given."""

    mpp: float | None = Field(
        default=None, ge=0.05, le=20, description="microns per pixel of the tiles, where known"
    )
    tile_px: int = Field(
        default=0, ge=0, le=4096, description="edge of the tiles; 0: what the tile sets have"
    )

    @property
    def stain(self) -> str:
        """Tiles are encoded as they are given."""
        return "none"

    def fingerprint(self) -> str:
        """`GIVEN_TILES` and 12 hex digits, the `tiling=` of a path."""
        settings = {"version": TILING_VERSION, "tiles": "as given", "tile_px": self.tile_px}
        return GIVEN_TILES + digest(settings)[:12]


RunSettings = ExtractConfig | TileSetConfig
"""Settings that are sent to the processes of a run."""


def check_labels(flag: str, stated: Sequence[str]) -> None:
    """Check label selectors of nodes.

    Raises:
        ValueError: One that Ray does not take, or two for one key.
    """
    for text in stated:
        if not _LABEL.fullmatch(text):
            raise ValueError(
                f"{flag} {text}: must be KEY=VALUE, KEY=!VALUE, KEY=in(A,B) or KEY=!in(A,B)"
            )
    keys = [text.partition("=")[0] for text in stated]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{flag}: a key is given twice; name all its values as KEY=in(A,B)")


def digest(value: Any) -> str:
    """SHA-256, in hex, of a JSON-like value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def works_here(address: str) -> bool:
    """Whether a run with this `--address` uses this machine alone."""
    return address == NO_RAY or (address == "local" and "RAY_ADDRESS" not in os.environ)
