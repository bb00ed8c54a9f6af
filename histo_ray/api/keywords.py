"""Settings as keywords of the functions of the Python API.

The names, types and defaults are those of `config.ExtractConfig` and
`finetune.finetune_config.FinetuneConfig`; the docstring of each field there says what it does, as
`histo-ray VERB --help` does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, get_origin

from histo_ray.config import NO_RAY, Settings, parse_settings
from histo_ray.errors import ConfigError
from histo_ray.text import describe_type

S = TypeVar("S", bound=Settings)

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]


class ExtractSettings(TypedDict, total=False):
    """Settings of `hr.extract` and `hr.plan`; see `ExtractConfig`."""

    encoder: str | Sequence[str]
    mpp: float
    tile_px: int
    stride_px: int | None
    tissue: str
    min_tissue: float
    mask_mpp: float
    min_area_um2: float
    max_hole_um2: float
    close_um: float
    stain: Literal["none", "macenko", "reinhard"]
    mask_classes: str | Sequence[str]
    encoder_table: str | Sequence[str]
    trust_remote_code: str | Sequence[str]
    allow_contract_break: bool
    format: Literal["parquet", "zarr"]
    dtype: Literal["float16", "float32"]
    precision: Precision
    device: Device
    engine: Literal["torch", "openvino"]
    batch_size: int | None
    readers: int | None
    encoder_workers: int | None
    encoder_threads: int | None
    encoder_gpus: float | None
    accelerator_type: str | None
    encoder_label: str | Sequence[str]
    reader_label: str | Sequence[str]
    replace_changed: bool
    address: str
    slide_mpp: float | None
    slide_reader: str
    tiles: Literal["given", "native"]
    cache_dir: str | None
    cache_gb: float | None
    log: str | None


class FinetuneSettings(TypedDict, total=False):
    """Settings of `hr.finetune`; see `FinetuneConfig`."""

    encoder: str
    name: str
    validation: str | None
    recipe: str
    set: str | Sequence[str]
    encoder_table: str | Sequence[str]
    seed: int
    device: Device
    precision: Precision
    threads: int | None
    loaders: int
    memory_gb: float
    save_every_s: float
    workers: int
    accelerator_type: str | None
    node_label: str | Sequence[str]
    address: str


class ImportSettings(TypedDict, total=False):
    """Settings of `hr.import_features`; see `store.exchange.import_config.ImportConfig`."""

    source_encoder: str | None
    manifest: str | Path | None
    slide: str | Sequence[str]
    coords: str | Path | None
    mpp: float | None
    slide_mpp: float | None
    tile_px: int | None
    side_px: float | None
    weights_sha256: str | None
    dtype: Literal["float16", "float32"] | None
    format: Literal["parquet", "zarr"]
    replace_changed: bool


def make_settings(kind: type[S], values: Mapping[str, object], origin: str) -> S:
    """Check keywords against a settings class; without an address, work is done in this process.

    Args:
        kind: The class.
        values: Keywords; a path may be a `Path`, and one text may stand for a list of one.
        origin: Name of the function, for messages.

    Raises:
        ConfigError: All problems, in one line.
    """
    plain: dict[str, object] = {"address": NO_RAY} if "address" in kind.model_fields else {}
    for name, value in values.items():
        field = kind.model_fields.get(name)
        text = str(value) if isinstance(value, Path) else value
        several = field is not None and get_origin(field.annotation) is tuple
        plain[name] = (text,) if several and isinstance(text, str) else text
        if field is not None and field.annotation is str and not isinstance(text, str):
            raise ConfigError(
                f"{origin}: {name} is {describe_type(value)} where text or a Path is needed: "
                f"{field.description}"
            )
    return parse_settings(kind, plain, origin)
