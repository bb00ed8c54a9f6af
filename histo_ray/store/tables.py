"""Tables and notes in a folder of the store, each whole or not there at all."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, check_bytes, seal_file, seal_json, strip_marks
from histo_ray.store.atomic_write import publish, stage, write_bytes
from histo_ray.store.layout import check_file_name, check_slug
from histo_ray.store.location import Location, location_of
from histo_ray.store.partition import first_line
from histo_ray.types import JsonObject

EVALUATIONS = "evaluations"
PIECES = "pieces"
"""Folder beside the tables that is there only while they are made."""


class TableFolder(NamedTuple):
    """One folder of tables; crosses process borders."""

    root: Location
    """The store."""
    folder: str
    """Relative to it."""

    def names(self) -> list[str]:
        """What lies in it, sorted."""
        return self.root.child(self.folder).names()

    def write(
        self,
        name: str,
        tables: Iterable[pa.Table],
        schema: pa.Schema,
        group_rows: int | None = None,
        plain: Sequence[str] = (),
    ) -> None:
        """Write `name`.parquet, or write it anew; memory holds one of `tables` at a time.

        Args:
            name: Of the table.
            tables: Its rows.
            schema: Of all of them.
            group_rows: Most rows of a row group, of which `read_between` reads no more than it
                needs; None: about a million.
            plain: Columns whose values hardly repeat: a dictionary of them, which is tried first
                otherwise, takes time and space.
        """
        path = self._path(f"{name}.parquet")
        with stage(self.root) as folder:
            built = folder / "table"
            words = [_leaf_of(field) for field in schema if field.name not in plain]
            with pq.ParquetWriter(
                built, schema, compression="zstd", use_dictionary=words
            ) as writer:
                for table in tables:
                    writer.write_table(table.cast(schema), group_rows)
                writer.add_key_value_metadata(MARKS)
            seal_file(built)
            publish(built, self.root.child(path), replace=True)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of `name`.parquet, the whole file held against its own digest.

        Args:
            name: Of the table.
            columns: In this order; None: all.

        Raises:
            StoreError: It is not there, or damaged.
        """
        path = self._path(f"{name}.parquet")
        try:
            data = self.root.child(path).read_bytes()
            if check_bytes(data) == "damaged":
                raise damaged(path)
            return strip_table(
                pq.read_table(native(data), columns=None if columns is None else list(columns))
            )
        except FileNotFoundError:
            raise missing_table(path) from None
        except (OSError, pa.ArrowInvalid) as error:
            raise damaged(path, error) from None

    def read_between(self, name: str, rows: slice, columns: Sequence[str]) -> list[pa.ChunkedArray]:
        """Some columns of some consecutive rows of `name`.parquet; holds their row groups.

        The file's own digest is not looked at, as that takes all of its bytes.

        Args:
            name: Of the table.
            rows: Which, without a step.
            columns: In this order.

        Raises:
            StoreError: It is not there, or is damaged.
        """
        path = self._path(f"{name}.parquet")
        try:
            with self.root.child(path).open() as opened:
                file = pq.ParquetFile(native(opened))
                start, stop, _ = rows.indices(file.metadata.num_rows)
                groups, skipped, at = list[int](), 0, 0
                for group in range(file.num_row_groups):
                    count = file.metadata.row_group(group).num_rows
                    if at + count <= start:
                        skipped += count
                    elif at < stop:
                        groups.append(group)
                    at += count
                table = file.read_row_groups(groups, list(columns))
        except FileNotFoundError:
            raise missing_table(path) from None
        except (OSError, pa.ArrowInvalid) as error:
            raise damaged(path, error) from None
        return [table[column].slice(start - skipped, stop - start) for column in columns]

    def read_rows(self, name: str, columns: Sequence[str], equal: Mapping[str, str]) -> pa.Table:
        """Some columns of the rows of `name`.parquet that have given values; holds no others.

        The file's own digest is not looked at, as that takes all of its bytes.

        Args:
            name: Of the table.
            columns: In this order.
            equal: Value of a row in columns of text.

        Raises:
            StoreError: It is not there, is damaged, or lacks a column.
        """
        path = self._path(f"{name}.parquet")
        filters = [(column, "=", value) for column, value in equal.items()]
        try:
            with self.root.child(path).open() as file:
                there = set(pq.read_schema(file).names)
                if missing := {*columns, *equal} - there:
                    raise damaged(path, ValueError(f"no column {', '.join(sorted(missing))}"))
                return strip_table(
                    pq.read_table(native(file), columns=list(columns), filters=filters)
                )
        except FileNotFoundError:
            raise missing_table(path) from None
        except (OSError, pa.ArrowInvalid) as error:
            raise damaged(path, error) from None

    def write_note(self, name: str, note: JsonObject) -> None:
        """Write `name`.json, or write it anew, with its own digest as the last entry."""
        write_bytes(self.root, self._path(f"{name}.json"), seal_json(note))

    def read_note(self, name: str) -> JsonObject | None:
        """What `name`.json says, held against its own digest; None if it is not there.

        Raises:
            StoreError: It is damaged: cut, no JSON object, or changed since it was written.
        """
        path = self._path(f"{name}.json")
        location = self.root.child(path)
        if not location.kind():
            return None
        try:
            data = location.read_bytes()
            note = json.loads(data)
        except FileNotFoundError:  # removed just now
            return None
        except UnreachableError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise damaged(path, error) from None
        if not isinstance(note, dict):
            raise damaged(path, ValueError(f"a JSON {type(note).__name__}, not an object"))
        if check_bytes(data) == "damaged":
            raise damaged(path)
        return strip_marks(note)

    def delete(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        location = self.root.child(self._path(name))
        with suppress(FileNotFoundError):  # another process was faster
            if location.kind():
                location.delete()

    def child(self, name: str) -> "TableFolder":
        """A folder in it."""
        return TableFolder(self.root, self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.folder}/{check_file_name('table', name)}"


def _leaf_of(field: pa.Field) -> str:
    """Name a column as Parquet does, where a list's values are a column of their own."""
    lists = pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
    return f"{field.name}.list.{field.type.value_field.name}" if lists else field.name


def missing_table(path: str) -> StoreError:
    """The error of a table that is not there."""
    return StoreError(f"{path}: there is no such table; run the command again that writes it")


def damaged(path: str, error: Exception | None = None) -> StoreError:
    """The error of a file of a folder of tables that is not as it was written."""
    reason = f" ({first_line(error)})" if error else ": its bytes are not those that were written"
    return StoreError(
        f"{path} is damaged{reason}; delete its folder, and the same command makes it again"
    )


def strip_table(table: pa.Table) -> pa.Table:
    """A table without the entries of its file's digest."""
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k.decode() not in MARKS}
    return table.replace_schema_metadata(kept or None)


def open_evaluation(store: str, task: str, run: str) -> TableFolder:
    """Folder of the tables of one evaluation, whether or not it is there.

    Args:
        store: Local folder or URI of the store.
        task: `tissue`, ...; a slug.
        run: A slug.

    Raises:
        StoreError: Not slugs.
        ConfigError: Not a path or URI.
    """
    folder = f"{EVALUATIONS}/{check_slug('task', task)}/{check_slug('run', run)}"
    return TableFolder(location_of(store), folder)
