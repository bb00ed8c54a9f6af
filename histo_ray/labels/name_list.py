"""Reads a list of names: one a line, a column of a table, or a case list of cBioPortal."""

from collections.abc import Sequence

from histo_ray.errors import ConfigError
from histo_ray.labels.label_file import open_labels, read_bytes, split_header, unzip
from histo_ray.slides.column_names import plain_name
from histo_ray.text import name_some

CASE_LIST = "case_list_ids:"
"""Begins the line of samples in a `cases_*.txt` of cBioPortal."""


def read_names(uri: str, what: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Read names, each once, in the order of the file.

    Lines that start with # are passed over, and so is a heading that is one of `columns`.

    Args:
        uri: Local path or URI.
        what: What the file is, for messages.
        columns: What the column may be called, in small letters and digits; the first that is
            there is read.

    Raises:
        ConfigError: It cannot be read, has no such column, or no names.
    """
    names = list(dict.fromkeys(name for name in _read_cells(uri, what, columns) if name))
    if not names:
        raise ConfigError(f"{what} {uri}: no names in it; write one a line")
    return tuple(names)


def _read_cells(uri: str, what: str, columns: Sequence[str]) -> list[str]:
    if not uri.lower().removesuffix(".gz").endswith((".parquet", ".pq")):
        data = unzip(read_bytes(uri, what), uri, what)
        _, _, separator = split_header(data, uri, what)
        lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
        for line in lines:
            if line.startswith(CASE_LIST):
                return line.removeprefix(CASE_LIST).split()
        if not separator:
            cells = [line.strip('"') for line in lines if line and not line.startswith("#")]
            return cells[1:] if plain_name(cells[0]) in columns else cells
    file = open_labels(uri, what)
    plain = [plain_name(column) for column in file.columns]
    found = next((plain.index(name) for name in columns if name in plain), None)
    if found is None:
        raise ConfigError(
            f"{what} {uri}: none of its columns ({name_some(file.columns)}) is called "
            f"{columns[0]}; rename the column of names, or write one name a line"
        )
    return file.texts(found)
