"""What a store holds: its marker, its partitions, their forms."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from histo_ray._version import __version__
from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.seal import seal_json, strip_marks
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.layout import (
    EMBEDDINGS,
    FORMS,
    MARKER,
    Form,
    folder_path,
    parse_file_name,
    partition_path,
    split_folder,
)
from histo_ray.store.location import ROOT_FILE, THREADS, Location, Stamp
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import FIRST_VERSION, FORMAT_VERSION, PartitionFormat
from histo_ray.store.receipt_table import LISTING, NAME
from histo_ray.store.zarr import ZarrFormat
from histo_ray.types import PartitionKey

FORMATS: dict[Form, PartitionFormat] = {"parquet": ParquetFormat(), "zarr": ZarrFormat()}

Partitions = dict[PartitionKey, Form]


def open_marker(root: Location, create: bool) -> None:
    """Check that a store of a version we know is at `root`, or make one.

    With `create` the caller is about to write: on an object store the marker is then written
    again as it is, so that a missing right to write is told now.

    Raises:
        StoreError: Nothing there, something else, or a newer store.
    """
    if root.kind() == "file":
        raise StoreError(f"store {root.path} is a file; name a folder or a URI for the store")
    marker = root.child(MARKER)
    if not marker.kind():
        if not create:
            raise StoreError(
                f"store {root.path}: there is no feature store (no {MARKER} in it); "
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
            f"store {root.path}: {MARKER} is damaged, as it states no format version; "
            f'restore it as {{"format_version": {FORMAT_VERSION}}}'
        )
    if version > FORMAT_VERSION:
        raise StoreError(
            f"store {root.path}: it has format version {version}, and this histo-ray reads up to "
            f"{FORMAT_VERSION}; upgrade histo-ray"
        )
    if create and not root.local:
        write_bytes(root, MARKER, text)


def read_version(root: Location) -> int:
    """The version of the format that a store states.

    Raises:
        StoreError: Its marker is damaged, or newer than this program.
    """
    open_marker(root, create=False)
    return int(json.loads(root.child(MARKER).read_bytes())["format_version"])


def raise_version(root: Location, version: int) -> None:
    """Have a store state at least this version of the format, so that older programs refuse it.

    Raises:
        StoreError: Its marker is damaged.
    """
    if read_version(root) < version:
        values = json.loads(root.child(MARKER).read_bytes())
        raised = strip_marks(values) | {"format_version": version}
        write_bytes(root, MARKER, seal_json(raised, indent=2))


def list_partitions(
    root: Location, encoder: str | None = None, tiling: str | None = None
) -> Partitions:
    """All partitions and the form of each, with one listing for each encoder and tiling."""
    found: Partitions = {}
    for folder in list_folders(root, encoder, tiling):
        names = split_folder(folder)
        forms = choose_forms(root.child(folder).names())
        roots = _find_roots(root.child(folder), forms)
        for name, form in forms.items():
            if form != "zarr" or roots[name]:
                found[PartitionKey(*names, name)] = form
    return found


def list_in_form(root: Location, form: Form) -> set[PartitionKey]:
    """All partitions that are there in one form, whether or not in the other as well."""
    found: set[PartitionKey] = set()
    for folder in list_folders(root, None, None):
        names = [name for name in root.child(folder).names() if name.endswith(f".{form}")]
        forms = choose_forms(names)
        roots = _find_roots(root.child(folder), forms)
        key = split_folder(folder)
        found |= {PartitionKey(*key, name) for name in forms if roots.get(name, True)}
    return found


def list_files(root: Location, encoder: str, tiling: str) -> pa.Table:
    """All partitions of an encoder and tiling and how their files look: `LISTING`, by name."""
    location = root.child(folder_path(encoder, tiling))
    names, stamps = location.entries()
    forms = choose_forms(names)
    chosen = stamps
    if len(forms) < len(names):  # else each name is a partition's, in the same order
        where = {name: at for at, name in enumerate(names)}
        chosen = stamps[[where[f"{name}.{form}"] for name, form in forms.items()]]
    whole = np.ones(len(chosen), bool)
    roots = _find_roots(location, forms)
    for at, name in enumerate(forms):
        if name in roots:  # a folder's own look says little
            stamp = roots[name]
            whole[at] = stamp is not None
            chosen[at] = stamp or chosen[at]
    columns = [pa.array(forms, pa.string()), pa.array(forms.values(), pa.string())]
    columns += [pa.array(chosen[:, at]) for at in range(chosen.shape[1])]
    return pa.table(columns, schema=LISTING).filter(pa.array(whole)).sort_by(NAME)


def choose_forms(names: Iterable[str]) -> dict[str, Form]:
    """The slides that files are named after, and the form of each; Parquet if both. Pure."""
    forms: dict[str, Form] = {}
    for name in names:
        try:
            slide_id, form = parse_file_name(name)
        except StoreError:  # a stray file: `verify` tells
            continue
        if forms.get(slide_id) != "parquet":
            forms[slide_id] = form
    return forms


def _find_roots(folder: Location, forms: dict[str, Form]) -> dict[str, Stamp | None]:
    """The root files of Zarr partitions; None where one is not whole."""
    names = [name for name, form in forms.items() if form == "zarr"]
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = pool.map(lambda name: folder.child(f"{name}.zarr/{ROOT_FILE}").stamp(), names)
        return dict(zip(names, stamps, strict=True))


def list_folders(root: Location, encoder: str | None, tiling: str | None) -> list[str]:
    """The folders, relative to the store, that hold partitions."""
    folders = []
    for encoder_name in _values(root.child(EMBEDDINGS), "encoder=", encoder):
        location = root.child(f"{EMBEDDINGS}/encoder={encoder_name}")
        for tiling_name in _values(location, "tiling=", tiling):
            try:
                folders.append(folder_path(encoder_name, tiling_name))
            except StoreError:  # not a slug, so not ours: `verify` tells
                continue
    return folders


def has_form(root: Location, key: PartitionKey, form: Form) -> bool:
    """Whether a partition is there, whole, in one form."""
    location = root.child(partition_path(key, form))
    if form == "zarr":
        location = location.child(ROOT_FILE)
    return location.kind() == "file"


def find_form(root: Location, key: PartitionKey) -> Form | None:
    """The form a partition is there in; Parquet if both."""
    return next((form for form in FORMS if has_form(root, key, form)), None)


def name_some(names: Iterable[str]) -> str:
    """A few names for a message, and how many more there are."""
    known = sorted(set(names))
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return (", ".join(known[:5]) + more) or "none"


def _create_marker(root: Location) -> None:
    strangers = [name for name in root.names() if not name.startswith(".")]
    if strangers and not root.child(MARKER).kind():  # else another run has just made it
        raise StoreError(
            f"store {root.path}: the folder holds other things ({name_some(strangers)}); "
            "choose an empty or a new folder for a new store"
        )
    text = {
        "format": "histo_ray feature store",
        "format_version": FIRST_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "library_version": __version__,
    }
    write_bytes(root, MARKER, seal_json(text, indent=2), replace=False)


def _values(location: Location, prefix: str, chosen: str | None) -> list[str]:
    """Values in the names of folders as in `encoder=<value>`, all or the chosen one."""
    if chosen is not None:
        return [chosen]
    return [name.removeprefix(prefix) for name in location.names() if name.startswith(prefix)]
