"""What a store holds: its marker, its partitions, their receipts."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from histo_ray._version import __version__
from histo_ray.errors import StoreError, UnreachableError
from histo_ray.schema import arrow_schema, column_names
from histo_ray.store.layout import (
    EMBEDDINGS,
    FORMS,
    MARKER,
    Form,
    folder_path,
    parse_partition_path,
    partition_path,
)
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import FORMAT_VERSION, PartitionFormat
from histo_ray.store.place import ROOT_FILE, THREADS, Place
from histo_ray.store.publish import write_bytes
from histo_ray.store.zarr import ZarrFormat
from histo_ray.types import PartitionKey, Receipt

if TYPE_CHECKING:
    import pandas as pd

FORMATS: dict[Form, PartitionFormat] = {"parquet": ParquetFormat(), "zarr": ZarrFormat()}

Partitions = dict[PartitionKey, Form]


def open_marker(root: Place, create: bool) -> None:
    """Check that a store of a version we know is at `root`, or make one.

    With `create` the caller is about to write: on an object store the marker is then written
    again as it is, so that a missing right to write is told now.

    Raises:
        StoreError: Nothing there, something else, or a newer store.
    """
    if root.kind() == "file":
        raise StoreError(f"store {root.path}: a file, wanted a folder; name another place")
    marker = root.child(MARKER)
    if not marker.kind():
        if not create:
            raise StoreError(
                f"store {root.path}: no {MARKER}, wanted a feature store; "
                "check the path, or make one with histo-ray extract --store"
            )
        _create_marker(root)
        create = False
    text = b""
    try:
        text = marker.read_bytes()
        version = json.loads(text)["format_version"]
    except UnreachableError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        version = None
    if not isinstance(version, int):
        raise StoreError(
            f"store {root.path}: {MARKER} states no format version, wanted {FORMAT_VERSION}; "
            f'restore it as {{"format_version": {FORMAT_VERSION}}}'
        )
    if version > FORMAT_VERSION:
        raise StoreError(
            f"store {root.path}: format version {version}, wanted at most {FORMAT_VERSION}; "
            "upgrade histo-ray"
        )
    if create and not root.local:
        write_bytes(root, MARKER, text)


def list_partitions(
    root: Place, encoder: str | None = None, tiling: str | None = None
) -> Partitions:
    """All partitions and the form of each, with one listing for each encoder and tiling."""
    found: Partitions = {}
    for folder in list_folders(root, encoder, tiling):
        for name in root.child(folder).names():
            try:
                key, form = parse_partition_path(f"{folder}/{name}")
            except StoreError:  # a stray file: `verify` tells
                continue
            if found.get(key) != "parquet":
                found[key] = form
    folders = [key for key, form in found.items() if form == "zarr"]
    with ThreadPoolExecutor(THREADS) as pool:
        whole = pool.map(lambda key: has_form(root, key, "zarr"), folders)
        for key, there in zip(folders, list(whole), strict=True):
            if not there:
                del found[key]
    return found


def list_folders(root: Place, encoder: str | None, tiling: str | None) -> list[str]:
    """The folders, relative to the store, that hold partitions."""
    folders = []
    for encoder_name in _values(root.child(EMBEDDINGS), "encoder=", encoder):
        place = root.child(f"{EMBEDDINGS}/encoder={encoder_name}")
        for tiling_name in _values(place, "tiling=", tiling):
            try:
                folders.append(folder_path(encoder_name, tiling_name))
            except StoreError:  # not a slug, so not ours: `verify` tells
                continue
    return folders


def has_form(root: Place, key: PartitionKey, form: Form) -> bool:
    """Whether a partition is there, whole, in one form."""
    place = root.child(partition_path(key, form))
    if form == "zarr":
        place = place.child(ROOT_FILE)
    return place.kind() == "file"


def find_form(root: Place, key: PartitionKey) -> Form | None:
    """The form a partition is there in; Parquet if both."""
    return next((form for form in FORMS if has_form(root, key, form)), None)


def read_receipts(root: Place, partitions: Partitions) -> dict[PartitionKey, Receipt]:
    """The receipts of some partitions, by key in sorted order."""

    def read(key: PartitionKey) -> Receipt:
        form = partitions[key]
        return FORMATS[form].read_receipt(root.child(partition_path(key, form)))

    keys = sorted(partitions)
    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        return dict(zip(keys, pool.map(read, keys), strict=True))


def tabulate_slides(
    partitions: Partitions, receipts: dict[PartitionKey, Receipt]
) -> "pd.DataFrame":
    """One row a slide, encoder and tiling: the columns of `schemas/slides.json`."""
    import pyarrow as pa

    rows = [_slide_row(key, partitions[key], receipt) for key, receipt in receipts.items()]
    columns = {name: [row[name] for row in rows] for name in column_names("slides")}
    frame: pd.DataFrame = pa.table(columns, schema=arrow_schema("slides")).to_pandas()
    return frame


def name_some(names: Iterable[str]) -> str:
    """A few names for a message, and how many more there are."""
    known = sorted(set(names))
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return (", ".join(known[:5]) + more) or "none"


def _slide_row(key: PartitionKey, form: Form, receipt: Receipt) -> dict[str, Any]:
    slide = receipt.slide
    return {
        "slide_id": slide.slide_id,
        "patient_id": slide.patient_id,
        "site": slide.site,
        "encoder": key.encoder,
        "tiling": key.tiling,
        "format": form,
        "n_tiles": receipt.tile_count,
        "dim": receipt.encoder.dim,
        "width": slide.size_px[0],
        "height": slide.size_px[1],
        "mpp_x": slide.mpp[0],
        "mpp_y": slide.mpp[1],
        "mpp_source": slide.mpp_source,
        "tile_px": receipt.tiling.settings.get("tile_px", 0),
        "tile_mpp": receipt.tiling.settings.get("mpp", 0.0),
        "empty_reason": receipt.empty_reason,
        "path": slide.path,
    }


def _create_marker(root: Place) -> None:
    strangers = [name for name in root.names() if not name.startswith(".")]
    if strangers and not root.child(MARKER).kind():  # else another run has just made it
        raise StoreError(
            f"store {root.path}: not a store but holds {name_some(strangers)}, "
            "wanted an empty or new folder; choose another"
        )
    text = {
        "format": "histo_ray feature store",
        "format_version": FORMAT_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "library_version": __version__,
    }
    write_bytes(root, MARKER, json.dumps(text, indent=2).encode() + b"\n", replace=False)


def _values(place: Place, prefix: str, wanted: str | None) -> list[str]:
    """Values in the names of folders as in `encoder=<value>`, all or the one wanted."""
    if wanted is not None:
        return [wanted]
    return [name.removeprefix(prefix) for name in place.names() if name.startswith(prefix)]
