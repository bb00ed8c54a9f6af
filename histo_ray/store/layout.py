"""Where things lie in a store. Pure: names in, relative paths out, and back.

Every name that becomes part of a path is checked here, so nothing can be written or read outside
of the store.
"""

import re
from typing import Literal, cast

from histo_ray.config import GIVEN_TILES, IMPORTED_TILES
from histo_ray.errors import StoreError
from histo_ray.types import PartitionKey

Form = Literal["parquet", "zarr"]
FORMS: tuple[Form, ...] = ("parquet", "zarr")

MARKER = "store.json"
EMBEDDINGS = "embeddings"
RUNS = "runs"
CACHE = "cache"
QUALITY = "quality"
"""Tables of what was measured of tiles, a folder a tiling."""
POOLED = f"{CACHE}/matrix"
"""Cached tables of pooled vectors; `pooling` writes and reads them, `store gc` removes them."""
FITS = f"{CACHE}/fits"
"""Attention heads of fits under way; `predict` writes and reads them, `store gc` removes them."""
STAGING = ".staging"
ROOMS = (
    EMBEDDINGS,
    QUALITY,
    RUNS,
    CACHE,
    STAGING,
    "models",
    "predictors",
    "predictions",
    "slide_encoders",
    "slides",
    "labels",
    "evaluations",
)
"""Folders a store may hold at its top."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_USUAL = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,150}[A-Za-z0-9_-])?)\.(parquet|zarr)")
"""Names that need no closer look: a folder may hold a million."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_NAME_BYTES = 200  # most file systems stop at 255, and suffixes are added


def check_slug(what: str, text: str) -> str:
    """Give `text` back if it is a slug.

    Raises:
        StoreError: It is not, so it cannot be part of a path.
    """
    if not _SLUG.fullmatch(text):
        raise StoreError(
            f"{what} {text!r} cannot be a folder's name; use a-z, 0-9, '.', '_' and '-' only"
        )
    return text


def check_file_name(what: str, text: str) -> str:
    """Give `text` back if it is safe as a file name on any file system.

    Raises:
        StoreError: It is not.
    """
    unsafe = not text or _UNSAFE.search(text) or text[0] == "." or text[-1] in " ."
    if unsafe or len(text.encode("utf-8", "replace")) > _NAME_BYTES:
        raise StoreError(
            f"{what} {text!r} is not safe as a file name; use 1 to {_NAME_BYTES} bytes without "
            "separators, control characters or a leading dot: rename it"
        )
    return text


def folder_path(encoder: str, tiling: str) -> str:
    """Folder of all partitions of one encoder and tiling."""
    return (
        f"{EMBEDDINGS}/encoder={check_slug('encoder', encoder)}"
        f"/tiling={check_slug('tiling', tiling)}"
    )


def split_folder(path: str) -> tuple[str, str]:
    """Encoder and tiling of a folder: the inverse of `folder_path`."""
    encoder, _, tiling = path.removeprefix(f"{EMBEDDINGS}/encoder=").partition("/tiling=")
    return encoder, tiling


def partition_path(key: PartitionKey, form: Form) -> str:
    """Path of a partition, relative to the store."""
    name = check_file_name("slide_id", key.slide_id)
    return f"{folder_path(key.encoder, key.tiling)}/{name}.{form}"


def parse_partition_path(path: str) -> tuple[PartitionKey, Form]:
    """The partition that a relative path stands for: the inverse of `partition_path`.

    Raises:
        StoreError: The path is not one of a partition.
    """
    parts = path.split("/")
    if len(parts) == 4:
        try:
            name, form = parse_file_name(parts[3])
            key = PartitionKey(
                parts[1].removeprefix("encoder="), parts[2].removeprefix("tiling="), name
            )
            if partition_path(key, form) == path:
                return key, form
        except StoreError:
            pass
    raise StoreError(
        f"{path}: no partition has such a path ({EMBEDDINGS}/encoder=<slug>/tiling=<slug>/"
        "<slide_id>.parquet or .zarr); move it out of the store"
    )


def parse_file_name(name: str) -> tuple[str, Form]:
    """Slide and form that the name of a partition's file or folder stands for.

    Raises:
        StoreError: It stands for none.
    """
    if usual := _USUAL.fullmatch(name):
        return usual[1], cast("Form", usual[2])
    slide_id, _, suffix = name.rpartition(".")
    for form in FORMS:
        if suffix == form:
            return check_file_name("slide_id", slide_id), form
    raise StoreError(f"{name}: no partition has such a name (<slide_id>.parquet or .zarr)")


def is_given(tiling: str) -> bool:
    """Whether a tiling is that of tile sets, whose partitions may have labels."""
    return tiling.startswith(GIVEN_TILES)


def is_imported(tiling: str) -> bool:
    """Whether a tiling is that of slides whose features another tool made."""
    return tiling.startswith(IMPORTED_TILES)


def run_path(run_id: str) -> str:
    """Path of a run's table, relative to the store."""
    return f"{RUNS}/{check_file_name('run_id', run_id)}.parquet"
