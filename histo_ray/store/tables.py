"""Tables and notes in a folder of the store, each whole or not there at all."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.storage.native import native
from histo_ray.store.layout import check_file_name, check_slug
from histo_ray.store.place import Place, place_at
from histo_ray.store.publish import publish, stage, write_bytes

EVALUATIONS = "evaluations"


class TableFolder(NamedTuple):
    """One folder of tables; crosses process borders."""

    root: Place
    """The store."""
    folder: str
    """Relative to it."""

    def names(self) -> list[str]:
        """What lies in it, sorted."""
        return self.root.child(self.folder).names()

    def write(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write `name`.parquet, or write it anew; memory holds one of `tables` at a time."""
        path = self._path(f"{name}.parquet")
        with stage(self.root) as folder:
            built = folder / "table"
            with pq.ParquetWriter(built, schema, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table.cast(schema))
            publish(built, self.root.child(path), replace=True)

    def read(self, name: str) -> pa.Table:
        """All of `name`.parquet.

        Raises:
            StoreError: It is not there, or damaged.
        """
        path = self._path(f"{name}.parquet")
        try:
            with self.root.child(path).open() as file:
                return pq.read_table(native(file))
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{path}: cannot be read ({str(error).partition(chr(10))[0]}), wanted a table; "
                "remove it and run the command again"
            ) from None

    def write_note(self, name: str, note: dict[str, Any]) -> None:
        """Write `name`.json, or write it anew."""
        text = json.dumps(note, indent=1, allow_nan=False) + "\n"
        write_bytes(self.root, self._path(f"{name}.json"), text.encode())

    def read_note(self, name: str) -> dict[str, Any] | None:
        """What `name`.json says; None if it is not there.

        Raises:
            StoreError: It is damaged.
        """
        path = self._path(f"{name}.json")
        place = self.root.child(path)
        if not place.kind():
            return None
        try:
            note = json.loads(place.read_bytes())
        except (ValueError, RecursionError) as error:
            found = f"no JSON: {error}"
        except FileNotFoundError:  # removed just now
            return None
        else:
            if isinstance(note, dict):
                return note
            found = f"a JSON {type(note).__name__} where an object belongs"
        raise StoreError(
            f"{path} is damaged ({found}); delete the file, and the command that made it makes it "
            "again"
        )

    def delete(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        place = self.root.child(self._path(name))
        with suppress(FileNotFoundError):  # another process was faster
            if place.kind():
                place.delete()

    def child(self, name: str) -> "TableFolder":
        """A folder in it."""
        return TableFolder(self.root, self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.folder}/{check_file_name('table', name)}"


def open_evaluation(store: str, task: str, run: str) -> TableFolder:
    """Where the tables of one evaluation lie, or shall lie.

    Args:
        store: Local folder or URI of the store.
        task: `tissue`, ...; a slug.
        run: A slug.

    Raises:
        StoreError: Not slugs.
        ConfigError: Not a place.
    """
    folder = f"{EVALUATIONS}/{check_slug('task', task)}/{check_slug('run', run)}"
    return TableFolder(place_at(store), folder)
