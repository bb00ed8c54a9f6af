"""Open a label table: CSV, TSV or Parquet, wide or long, also gzipped."""

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import MISSING
from histo_ray.storage import locate
from histo_ray.storage.files import read_file
from histo_ray.storage.native import native

MOST_BYTES = 2**32
"""Largest table, packed or not: 20,000 genes of 11,000 patients take 2 GB as text."""
SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_INDEX = re.compile(r"__index_level_[0-9]+__")
_LARGEST_BLOCK = 2**30

Load = Callable[[Sequence[int]], list[pa.Array]]


@dataclass(frozen=True)
class LabelFile:
    """An opened label table; columns are numbered from 0, as names may repeat."""

    origin: str
    digest: str
    """SHA-256 of the file's bytes."""
    columns: tuple[str, ...]
    """Names; empty where there is none."""
    load: Load
    """Reads some columns, in that order; cells of text tables are text, or null if in `MISSING`."""
    load_words: Load
    """As `load`, but words such as None stay, which mean something in some columns."""
    comments: tuple[str, ...] = ()
    """Lines that start with # before the header."""
    separator: str = ""
    """What separates the columns of a text table; empty for Parquet."""

    def texts(self, at: int) -> list[str]:
        """A column as text without blanks around it; empty where it is missing."""
        return _to_texts(self.load([at])[0])

    def words(self, at: int) -> list[str]:
        """As `texts`, with words for missing values as they are."""
        return _to_texts(self.load_words([at])[0])


def open_labels(uri: str, what: str = "labels") -> LabelFile:
    """Open a table of labels.

    A name that ends in `.parquet` or `.pq` is Parquet; any other file is text, whose separator
    (tab, comma or semicolon) is the commonest of its header. Lines that start with # before the
    header are passed over, and a header that lacks the name of its first column (as R writes it)
    is completed.

    Args:
        uri: Local path or URI; gzip is recognised by its first bytes.
        what: What the table is, for messages.

    Raises:
        ConfigError: Not there, empty, or not such a table.
    """
    raw = read_bytes(uri, what)
    digest = hashlib.sha256(raw).hexdigest()
    data = unzip(raw, uri, what)
    name = uri.lower().removesuffix(".gz")
    comments: tuple[str, ...] = ()
    separator = ""
    try:
        if name.endswith((".parquet", ".pq")):
            columns, load = _open_parquet(data)
            load_words = load
        else:
            columns, load, load_words = _open_text(data, uri, what)
            comments, separator = _read_comments(data), split_header(data, uri, what)[2]
        rows = len(load([0])[0])
    except (pa.ArrowException, csv.Error) as error:
        raise ConfigError(
            f"{what} {uri}: cannot be read as a table ({' '.join(str(error).split())}); give a "
            "CSV, TSV or Parquet file with as many cells in each row as in the header"
        ) from None
    if not rows:
        raise ConfigError(f"{what} {uri}: no rows under the header")
    loads = _explain(load, uri, what), _explain(load_words, uri, what)
    return LabelFile(uri, digest, columns, *loads, comments, separator)


_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of Excel begin: a zip archive, and Microsoft's compound file of before."""


def read_bytes(uri: str, what: str) -> bytes:
    """Read all of a file that must not be empty, nor a spreadsheet.

    Raises:
        ConfigError: It cannot be read, is empty, or is a spreadsheet.
    """
    place = locate(uri)
    try:
        data = read_file(*place, MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{what} {uri}: cannot be read ({' '.join(str(error).split())}); check the path"
        ) from None
    if not data:
        raise ConfigError(f"{what} {uri}: the file is empty")
    if data.startswith(_SPREADSHEETS):
        raise ConfigError(
            f"{what} {uri}: is a spreadsheet or a zip archive; save the table as CSV, "
            "TSV or Parquet"
        )
    return data


def unzip(data: bytes, uri: str, what: str) -> bytes:
    """Decompress a gzipped file; other files are returned as they are.

    Raises:
        ConfigError: Damaged.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{what} {uri}: damaged gzip file ({error}); copy it again") from None
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"{what} {uri}: unpacks to more than {MOST_BYTES} bytes, the most that is read; "
            "leave out columns or rows that are not needed"
        )
    return content


def split_header(data: bytes, uri: str, what: str) -> tuple[str, int, str]:
    """Find the header of a text table: the first line that is neither blank nor a comment.

    Returns:
        The line, where the next one starts, and the separator; empty if it has only one column.

    Raises:
        ConfigError: No such line, or not UTF-8.
    """
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for found in _LINE.finditer(data, start):
        line = found[0].strip(b"\r\n")
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            header = line.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(
                f"{what} {uri}: not UTF-8 text; save it as CSV, TSV or Parquet"
            ) from None
        separator = max(SEPARATORS, key=header.count)
        return header, found.end(), separator if separator in header else ""
    raise ConfigError(f"{what} {uri}: only comments and blank lines, no header")


def _open_text(data: bytes, uri: str, what: str) -> tuple[tuple[str, ...], Load, Load]:
    header, end, separator = split_header(data, uri, what)
    if not separator:
        raise ConfigError(
            f"{what} {uri}: the header {header[:60]!r} has no tab, comma or semicolon, so it is "
            "one column; save the table as CSV, TSV or Parquet"
        )
    quoted = separator != "\t" or '"' in header  # free text in a MAF may hold a single quote
    names = _split(header, separator, quoted)
    first = _LINE.match(data, end)
    text = first[0].decode("utf-8", "replace").rstrip("\r\n") if first else ""
    if len(_split(text, separator, quoted)) == len(names) + 1:
        names = ["", *names]
    body = memoryview(data)[end:]
    labels = [str(place) for place in range(len(names))]
    reading = pyarrow.csv.ReadOptions(
        column_names=labels,
        use_threads=False,  # then messages name the row
        block_size=min(max(len(body), 1) + 1, _LARGEST_BLOCK),
    )
    parsing = pyarrow.csv.ParseOptions(
        delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted
    )

    def load(places: Sequence[int], nulls: Sequence[str] = MISSING) -> list[pa.Array]:
        chosen = [labels[place] for place in places]
        if not chosen:  # which pyarrow takes for all
            return []
        converting = pyarrow.csv.ConvertOptions(
            include_columns=chosen,
            column_types=dict.fromkeys(chosen, pa.string()),
            null_values=list(nulls),
            strings_can_be_null=True,
        )
        if not len(body):
            return [pa.array([], pa.string()) for _ in chosen]
        table = pyarrow.csv.read_csv(native(body), reading, parsing, converting)
        return [column.combine_chunks() for column in table.columns]

    return tuple(names), load, lambda places: load(places, ("",))


def _read_comments(data: bytes) -> tuple[str, ...]:
    """Comments before the header, without their #."""
    comments = []
    for found in _LINE.finditer(data, 3 if data.startswith(b"\xef\xbb\xbf") else 0):
        line = found[0].strip()
        if line and not line.startswith(b"#"):
            break
        if line:
            comments.append(line.decode("utf-8", "replace").lstrip("#").strip())
    return tuple(comments)


def _to_texts(column: pa.Array) -> list[str]:
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return [text or "" for text in trimmed.to_pylist()]


def _open_parquet(
    data: bytes,
) -> tuple[tuple[str, ...], Load]:
    # by threads, 20,000 columns of 100 patients take 1.8 GB and twice the time
    table = pq.ParquetFile(native(data)).read(use_threads=False)
    names = table.column_names
    order = sorted(range(len(names)), key=lambda at: _INDEX.fullmatch(names[at]) is None)

    def load(places: Sequence[int]) -> list[pa.Array]:
        columns = (table.column(order[place]).combine_chunks() for place in places)
        return [
            column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            for column in columns
        ]

    return tuple("" if _INDEX.fullmatch(names[at]) else names[at] for at in order), load


def _split(line: str, separator: str, quoted: bool) -> list[str]:
    if not quoted:
        return [cell.strip() for cell in line.split(separator)]
    (cells,) = csv.reader([line], delimiter=separator) if line else ([],)
    return [cell.strip() for cell in cells]


def _explain(load: Load, uri: str, what: str) -> Load:
    """`load` with messages that name the file."""

    def load_or_tell(places: Sequence[int]) -> list[pa.Array]:
        try:
            return load(places)
        except pa.ArrowException as error:
            raise ConfigError(
                f"{what} {uri}: cannot be read ({' '.join(str(error).split())}); it should be "
                "UTF-8 text with as many cells in each row as in the header"
            ) from None

    return load_or_tell
