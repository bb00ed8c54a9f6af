"""Read receipts quickly: from the files, or from a catalogue of what was read before.

The table is the catalogue: in the store's cache, one Parquet file for each folder of partitions. It
is derived. A row counts only while a plain listing shows the partition's file as it was when it was
read; where the table is missing, damaged or older, the files are read. Decision 12 tells more.
"""

import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histo_ray.config import digest
from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.native import native
from histo_ray.storage.seal import BLANK, SEAL_KEY, digest_unsealed, find_seal
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.catalog import FORMATS, Partitions, list_files, list_folders
from histo_ray.store.layout import CACHE, Form, folder_path, split_folder
from histo_ray.store.location import THREADS, Location
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.receipt_table import (
    LISTING,
    NAME,
    NEVER,
    SLIDES,
    STAMPS,
    TEXT,
    Listed,
    changed_ns,
    parse_table,
    split_listing,
    table_schema,
    tabulate,
    to_listed,
)
from histo_ray.store.receipts import ReceiptParser
from histo_ray.types import PartitionKey, Receipt

VERSION = "3"
"""Raised whenever rows of the same receipts would be others."""
LEAST = 64
"""Fewer receipts are read from their files, and fewer new ones are not worth a new table."""
SETTLED_NS = 60 * 10**9
"""A file changed later than that before it was listed is not written down: some clocks tick once
in two seconds, so it could change once more and look the same."""
A_TASK = 64
"""Files that a thread reads before it is asked again."""
AT_ONCE = 64 * A_TASK
"""Files whose receipts are held as Python objects."""

_VERSION_KEY, _FOLDER_KEY = b"histo_ray_catalogue", b"histo_ray_folder"
_log = logging.getLogger(__name__)

Problems = dict[PartitionKey, StoreError]
"""Why some partitions have no receipt."""

Read = tuple[Listed, str, bytes | StoreError]
"""A file, its path, and its receipt's text or why there is none."""


class Folder(NamedTuple):
    """All partitions of one encoder and tiling."""

    root: Location
    encoder: str
    tiling: str
    keep: bool
    """Whether its catalogue may be written."""

    @property
    def path(self) -> str:
        """Relative to the store."""
        return folder_path(self.encoder, self.tiling)

    @property
    def catalogue(self) -> str:
        """Where its table is, relative to the store."""
        return f"{CACHE}/catalogue/encoder={self.encoder}/tiling={self.tiling}.parquet"

    def key(self, name: str) -> PartitionKey:
        """Key of one of its partitions, by its file's name."""
        return PartitionKey(self.encoder, self.tiling, name)


Damaged = Callable[[PartitionKey, StoreError], None]
"""Told of a partition whose receipt cannot be read, which is then left out."""


def read_receipts(root: Location, partitions: Partitions) -> dict[PartitionKey, Receipt]:
    """The receipts of some partitions, by key in sorted order.

    Raises:
        StoreError: One is not there, or not readable.
    """
    return dict(each_receipt(root, partitions))


def each_receipt(
    root: Location,
    partitions: Partitions | None = None,
    *,
    keep: bool = True,
    on_damaged: Damaged | None = None,
) -> Iterator[tuple[PartitionKey, Receipt]]:
    """The receipts of some partitions, in the order of keys; arguments as `read_rows`.

    Raises:
        StoreError: One is not there, or not readable; before the first is given.
    """
    columns = ["encoder", "tiling", NAME, TEXT]
    return parse_table(read_rows(root, partitions, columns, keep=keep, on_damaged=on_damaged))


def read_rows(
    root: Location,
    partitions: Partitions | None = None,
    columns: Sequence[str] = SLIDES,
    *,
    keep: bool = True,
    on_damaged: Damaged | None = None,
) -> pa.Table:
    """What the receipts of some partitions say, by key in sorted order.

    Args:
        root: The store.
        partitions: Which; None: all.
        columns: Of the receipts' table; by default those of `schemas/slides.json`.
        keep: Whether the catalogue may be written where many files had to be read.
        on_damaged: Told of each that is not there or not readable, which is left out.

    Raises:
        StoreError: One is not there, or not readable, and there is no `on_damaged`.
    """
    folders: dict[tuple[str, str], dict[str, Form] | None] = {}
    if partitions is None:
        folders |= dict.fromkeys(map(split_folder, list_folders(root, None, None)))
    else:
        for key, form in partitions.items():
            names = folders.setdefault((key.encoder, key.tiling), {})
            if names is not None:
                names[key.slide_id] = form
    tables = []
    for names_of, chosen in sorted(folders.items(), key=lambda item: item[0]):
        rows, problems = _read_folder(Folder(root, *names_of, keep), chosen, columns)
        for key, problem in problems.items():
            if on_damaged is None:
                raise problem
            on_damaged(key, problem)
        tables.append(rows)
    return pa.concat_tables([_nothing(columns), *tables])


def _read_folder(
    folder: Folder, asked: dict[str, Form] | None, columns: Sequence[str]
) -> tuple[pa.Table, Problems]:
    """Some columns for some partitions of a folder, or all, in order of their names.

    Raises:
        UnreachableError: The store does not answer.
    """
    if asked is not None and len(asked) < LEAST:
        unseen = [Listed(name, asked[name], NEVER) for name in sorted(asked)]
        fresh, problems = _read_files(folder, unseen)
        return fresh.select(columns), problems
    asked_ns = time.time_ns()
    listed = list_files(folder.root, folder.encoder, folder.tiling)  # before any file is read
    there = listed if asked is None else _choose(listed, asked)
    kept = list(dict.fromkeys([*LISTING.names, *columns]))
    known = _read_catalogue(folder, kept) if len(there) >= LEAST else _nothing(kept)
    held, others = split_listing(known, there)
    unread = to_listed(others)
    if asked is not None:
        gone = sorted(asked.keys() - set(there[NAME].to_pylist()))
        unread += [Listed(name, asked[name], NEVER) for name in gone]
    fresh, problems = _read_files(folder, unread)
    settled = fresh.filter(pc.less(changed_ns(fresh), asked_ns - SETTLED_NS))
    if folder.keep and len(settled) >= LEAST:
        whole = _read_catalogue(folder, table_schema().names)
        _write_catalogue(folder, pa.concat_tables([split_listing(whole, listed)[0], settled]))
    rows = held if not len(fresh) else pa.concat_tables([held, fresh.select(kept)]).sort_by(NAME)
    return rows.select(columns), problems


def _choose(listed: pa.Table, asked: dict[str, Form]) -> pa.Table:
    """Choose rows of a listing by name and form."""
    pairs = zip(listed[NAME].to_pylist(), listed["format"].to_pylist(), strict=True)
    return listed.filter(pa.array([asked.get(name) == form for name, form in pairs], pa.bool_()))


def _read_files(folder: Folder, listed: Sequence[Listed]) -> tuple[pa.Table, Problems]:
    """The table of some files, in their order, and what is wrong with each that has none."""
    parser = ReceiptParser()
    tables: list[pa.Table] = []
    problems: Problems = {}

    def read(part: Sequence[Listed]) -> list[Read]:
        return [_read_text(folder, entry) for entry in part]

    with ThreadPoolExecutor(4 if folder.root.local else THREADS) as pool:
        for start in range(0, len(listed), AT_ONCE):
            window = listed[start : start + AT_ONCE]
            parts = [window[at : at + A_TASK] for at in range(0, len(window), A_TASK)]
            rows = []
            for entry, path, text in chain.from_iterable(pool.map(read, parts)):
                try:
                    if isinstance(text, UnreachableError):
                        raise text  # and so would be the others
                    if isinstance(text, StoreError):
                        raise text
                    rows.append((folder.key(entry.name), entry, parser.parse(text, path), text))
                except UnreachableError:
                    raise
                except StoreError as error:
                    problems[folder.key(entry.name)] = error
            tables.append(tabulate(rows))
    return pa.concat_tables([table_schema().empty_table(), *tables]), problems


def _read_text(folder: Folder, entry: Listed) -> Read:
    location = folder.root.child(f"{folder.path}/{entry.name}.{entry.form}")
    try:
        return entry, location.path, FORMATS[entry.form].read_receipt_text(location)
    except StoreError as error:
        return entry, location.path, error


def _read_catalogue(folder: Folder, columns: Sequence[str]) -> pa.Table:
    """Some columns of the catalogue; no rows where there is none, or not as it was written."""
    nothing = _nothing(columns)
    try:
        data = folder.root.child(folder.catalogue).read_bytes()
        seal = find_seal(data)
        if seal is None or seal[1] != digest_unsealed(data):
            return nothing
        source = pq.ParquetFile(native(data))
        marks = source.metadata.metadata or {}
        if (marks.get(_VERSION_KEY), marks.get(_FOLDER_KEY)) != _marks(folder):
            return nothing
        table = source.read(columns=list(columns)).select(columns)
        return table.cast(nothing.schema).combine_chunks()
    except UNREADABLE:
        return nothing


def _write_catalogue(folder: Folder, table: pa.Table) -> None:
    """Write the table anew, if the store can be written; whoever is last wins, and any will do."""
    sink = io.BytesIO()
    names = [name for name in table.schema.names if name not in (NAME, TEXT, *STAMPS)]
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", use_dictionary=names, write_statistics=False
    ) as writer:
        writer.write_table(table)
        version, path = _marks(folder)
        writer.add_key_value_metadata({_VERSION_KEY: version, _FOLDER_KEY: path, SEAL_KEY: BLANK})
    data = sink.getbuffer()
    seal = find_seal(bytes(data))
    if seal is None:
        raise RuntimeError(f"{folder.catalogue}: the writer's footer holds no seal")
    data[seal[0] : seal[0] + len(BLANK)] = digest_unsealed(bytes(data)).encode()
    try:
        write_bytes(folder.root, folder.catalogue, bytes(data))
    except (OSError, StoreError) as error:
        _log.debug("%s: not written (%s); the store is read without it", folder.catalogue, error)


def _nothing(columns: Sequence[str]) -> pa.Table:
    return pa.Table.from_batches([], table_schema()).select(columns)


def _marks(folder: Folder) -> tuple[bytes, bytes]:
    """What a catalogue states about itself."""
    columns = digest([f"{field.name} {field.type}" for field in table_schema()])
    return f"{VERSION} {columns}".encode(), folder.path.encode()
