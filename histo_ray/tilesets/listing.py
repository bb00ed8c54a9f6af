"""Lists the files of a labelled tile set: a folder with one folder a class, or a table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from histo_ray.errors import ConfigError
from histo_ray.slides.table import TableRow, read_table
from histo_ray.storage import is_local, locate
from histo_ray.tilesets.image import SUFFIXES
from histo_ray.types import describe_mark, is_marked

TABLE_SUFFIXES = (".csv", ".parquet", ".pq")


@dataclass(frozen=True, order=True)
class Entry:
    """One tile as it is named; not opened yet."""

    label: str
    path: str
    """Absolute local path or URI."""
    group: str = ""


@dataclass
class Listing:
    """The tiles of a source, and its problems."""

    entries: list[Entry] = field(default_factory=list)
    """Sorted by label, then path."""
    problems: list[str] = field(default_factory=list)
    has_groups: bool = False
    base: str = ""
    """Folder that paths are shown from."""
    synthetic: bool = False
    """Whether the table marks any tile as synthetic, in a column of that name."""


def list_source(source: str) -> Listing:
    """The tiles that a folder or a table names.

    Args:
        source: A folder with one folder a class, or a `.csv`, `.parquet` or `.pq` table with the
            columns `path` (relative ones start at the table's folder), `label` and, if patients
            are known, `group`. Local or URI.

    Raises:
        ConfigError: Not there, neither of the two, or a table without its columns.
    """
    if source.lower().endswith(TABLE_SUFFIXES):
        return _list_table(source)
    return _list_folder(source)


def _list_folder(source: str) -> Listing:
    from pyarrow import fs

    system, root = locate(source)
    try:
        kind = system.get_file_info([root])[0].type
        infos = (
            system.get_file_info(fs.FileSelector(root, recursive=True))
            if kind == fs.FileType.Directory
            else []
        )
    except OSError as error:
        raise ConfigError(
            f"tiles {source}: cannot be reached ({' '.join(str(error).split())}); check the path "
            "and your access to it"
        ) from None
    if kind != fs.FileType.Directory:
        found = "there is no such folder" if kind == fs.FileType.NotFound else "this is a file"
        raise ConfigError(
            f"tiles {source}: {found}; name a folder with one folder for each class, or a table "
            f"whose name ends in {', '.join(TABLE_SUFFIXES)}"
        )
    prefix = "" if is_local(system) else source.partition("://")[0] + "://"
    listing, classes = Listing(base=prefix + root), Counter[str]()
    for info in infos:
        parts = PurePosixPath(info.path.removeprefix(root).strip("/")).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        where = "/".join(parts)
        is_file = info.type == fs.FileType.File
        is_image = parts[-1].lower().endswith(SUFFIXES)
        if not is_file:
            if len(parts) == 1:
                classes[parts[0]] += 0
            else:
                listing.problems.append(f"{where}: a folder inside a class; move its images up")
        elif len(parts) == 1:
            if is_image:  # a licence or a table beside the classes does no harm
                listing.problems.append(f"{where}: an image outside every class folder")
        elif len(parts) == 2:
            if is_image:
                classes[parts[0]] += 1
                listing.entries.append(Entry(parts[0], prefix + info.path))
            else:
                listing.problems.append(f"{where}: not an image ({', '.join(SUFFIXES)})")
    empty = sorted(name for name, count in classes.items() if not count)
    listing.problems += [f"{name}: a class without images" for name in empty]
    listing.entries.sort()
    listing.problems.sort()
    return listing


def _list_table(source: str) -> Listing:
    unit, columns, rows = read_table(source, "tiles")
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise ConfigError(
            f"tiles {source}: the table has no column {' and no column '.join(missing)} (its "
            f"columns: {', '.join(columns) or 'none'}); it needs path and label and takes group, "
            "the patient of each tile"
        )
    listing = Listing(has_groups="group" in columns, base=resolve_path("", source))
    listing.synthetic = any(is_marked(row.values.get("synthetic")) for row in rows)
    seen: dict[str, int] = {}
    for row in rows:
        path, label, group = (_text(row, name) for name in ("path", "label", "group"))
        needed = {"path": path, "label": label} | ({"group": group} if listing.has_groups else {})
        found = [f"{name} is empty" for name, value in needed.items() if not value]
        found += [row.problem] if row.problem else []
        mark = describe_mark("synthetic", row.values.get("synthetic"))
        found += [mark] if mark else []
        entry = Entry(label, resolve_path(path, source), group)
        if path and entry.path in seen:
            found.append(f"path {path!r} is that of {unit} {seen[entry.path]}, too")
        listing.problems += [f"{unit} {row.number}: {text}" for text in found]
        if not found:
            seen[entry.path] = row.number
            listing.entries.append(entry)
    listing.entries.sort()
    return listing


def resolve_path(path: str, table: str) -> str:
    """`path` seen from the folder of `table`."""
    if "://" in path:
        return path
    if path.startswith(("/", "~")):
        return str(Path(path).expanduser())
    if "://" in table:
        return f"{table.rsplit('/', 1)[0]}/{path.removeprefix('./')}"
    return str(Path(table).expanduser().absolute().parent / path)


def find_thin_classes(labels: Iterable[str]) -> list[str]:
    """Describe a set with fewer than two classes; empty if there are more."""
    names = sorted(set(labels))
    if len(names) >= 2:
        return []
    if not names:
        return ["there is no tile in it"]
    return [f"all tiles are of one class ({names[0]}); at least two are needed"]


def _text(row: TableRow, column: str) -> str:
    value: Any = row.values.get(column)
    return "" if value is None else str(value).strip()
