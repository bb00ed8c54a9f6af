"""Partitions as Zarr v3 groups: the same columns as arrays, for dense access. The only zarr import.

Vectors lie uncompressed in shards of whole blocks, a few objects a slide, and are read straight
from the shards where their metadata and index prove the order; otherwise zarr reads them.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.errors import StoreError
from histo_ray.schema import column_names
from histo_ray.storage.seal import BLANK, SEAL_KEY, digest_unsealed, find_seal
from histo_ray.store.layout import Form
from histo_ray.store.location import ROOT_FILE, THREADS, Location, location_of
from histo_ray.store.partition import (
    RECEIPT_KEY,
    VECTOR,
    Conclude,
    Shape,
    Tally,
    regroup_rows,
    unreadable,
)
from histo_ray.store.receipts import parse_receipt
from histo_ray.store.replaced import look_at, removed, unreplaced
from histo_ray.store.shards import describe_array, read_json, read_shards
from histo_ray.types import Floats, Receipt, TileRows

SHARD_BLOCKS = 8
"""Blocks in a shard: 32 MiB, held in memory while it is written."""

FILES_KEY = "histo_ray_files"
NAMES_KEY = "names"
"""Attribute of a column of text: what its integers stand for."""
DIMENSIONS = ("tile", "feature")
"""Names of the axes of vectors, for xarray."""
COLUMN_DIMENSIONS = DIMENSIONS[:1]
_ZARR_FAILS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(RuntimeError, ArithmeticError, AssertionError, MemoryError, UnicodeError),
)
"""What zarr and its codecs raise on damaged files."""
COLUMNS = {"tile_id": "int32", "x": "int32", "y": "int32", "tissue": "float32", "focus": "float32"}


class ZarrFormat:
    """One folder a partition; the receipt is in the attributes of its root."""

    form: Form = "zarr"

    def write(
        self, target: Path, shape: Shape, rows: Iterable[TileRows], conclude: Conclude
    ) -> Receipt:
        """Write a whole partition; memory holds one shard."""
        import zarr

        group = zarr.create_group(store=str(target), zarr_format=3)
        tally = Tally()
        vectors: Any = None
        for shard in regroup_rows(rows, shape, shape.block_rows * SHARD_BLOCKS):
            if vectors is None:
                vectors = _create_vectors(group, shape, len(shard))
            end = tally.count + len(shard)
            vectors.resize((end, shape.dim))
            vectors[tally.count : end] = shard.embeddings
            tally.add(shard)
        if vectors is None:
            _create_vectors(group, shape, 0)
        _write_column(group, "tile_id", np.arange(tally.count, dtype=np.int32))
        for index, name in enumerate(["x", "y", "tissue", "focus"]):
            _write_column(group, name, tally.column(index))
        for name, values in tally.texts.items():
            names, codes = np.unique(np.array(values, np.str_), return_inverse=True)
            _write_column(group, name, codes.astype(np.int32))
            group[name].attrs[NAMES_KEY] = names.tolist()
        receipt = conclude(tally.totals())
        group.attrs.update(
            {
                RECEIPT_KEY: receipt.model_dump(mode="json"),
                FILES_KEY: _digest_files(location_of(str(target))),
                SEAL_KEY: BLANK,
            }
        )
        _seal_root(target / ROOT_FILE)
        return receipt

    def read_receipt(self, location: Location) -> Receipt:
        """The receipt, from the root's attributes alone."""
        return parse_receipt(self.read_receipt_text(location), location.path)

    def read_receipt_text(self, location: Location) -> bytes:
        """The receipt's JSON, from the root's attributes alone."""
        if look_at(location, self.form) is None:
            raise removed(location.path)
        root = read_json(location.child(ROOT_FILE))
        try:
            return json.dumps(_attributes(root)[RECEIPT_KEY], ensure_ascii=False).encode()
        except (KeyError, TypeError, UnicodeEncodeError) as error:
            raise unreadable(f"{location.path}: receipt", error) from None

    def read_bag(self, location: Location) -> tuple[npt.NDArray[np.int32], Floats]:
        """All coords (N, 2) and embeddings (N, D)."""
        with (
            unreplaced(location.path, lambda: look_at(location, self.form)),
            ThreadPoolExecutor(3) as pool,
        ):
            x, y, vectors = pool.map(lambda name: _read_array(location, name), ["x", "y", VECTOR])
            _check_lengths(location, {"x": x, "y": y, VECTOR: vectors})
        return np.stack([x, y], axis=1).astype(np.int32, copy=False), vectors

    def read_rows(self, location: Location) -> Iterator[TileRows]:
        """All rows, a shard at a time."""
        own = self.read_columns(location)
        array = describe_array(location, VECTOR)
        _check_lengths(location, {"x": own.coords, VECTOR: range(array.rows)})
        for start in range(0, array.rows, array.shard_rows):
            cut = slice(start, min(array.rows, start + array.shard_rows))
            vectors = _read_array(location, VECTOR, cut)  # of a replaced partition: as it is now
            _check_lengths(location, {"x": own.coords[cut], VECTOR: vectors})
            here = {name: values[cut] for name, values in own.texts.items()}
            yield TileRows(own.coords[cut], own.tissue[cut], own.focus[cut], vectors, here)

    def read_columns(self, location: Location) -> TileRows:
        """All rows without their vectors: embeddings are (N, 0)."""
        x, y, tissue, focus = (_read_array(location, n) for n in ["x", "y", "tissue", "focus"])
        texts = self.read_texts(location)
        _check_lengths(location, {"x": x, "y": y, "tissue": tissue, "focus": focus} | texts)
        coords = np.stack([x, y], axis=1)
        return TileRows(coords, tissue, focus, np.empty((len(x), 0), np.float16), texts)

    def read_texts(self, location: Location) -> dict[str, npt.NDArray[np.str_]]:
        """(N,) of each optional column that it has."""
        return {
            name: _read_text(location, name) for name in self.read_receipt(location).text_columns
        }

    def find_problems(self, location: Location) -> list[str]:
        """Changed, missing or foreign files, and arrays or types other than a partition has."""
        try:
            text = location.child(ROOT_FILE).read_bytes()
            root = json.loads(text)
            problems = _check_root(text)
            if not problems:
                problems = _compare_files(_attributes(root)[FILES_KEY], _digest_files(location))
            return problems or _compare_arrays(location, self.read_receipt(location).text_columns)
        except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
            return [f"not readable as Zarr ({str(error).partition(chr(10))[0]})"]


def _create_vectors(group: Any, shape: Shape, first_rows: int) -> Any:
    """The vectors' array, still empty; a slide of less than a block gets a block of its size."""
    block = min(shape.block_rows, max(1, first_rows))
    shard = block * max(1, -(-first_rows // block))
    return group.create_array(
        VECTOR,
        shape=(0, shape.dim),
        chunks=(block, shape.dim),
        shards=(shard, shape.dim),
        dtype=shape.dtype,
        dimension_names=DIMENSIONS,
        compressors=None,
        config={"write_empty_chunks": True},  # else rows of -0.0 or 0.0 would not be stored
    )


def _write_column(group: Any, name: str, values: npt.NDArray[np.generic]) -> None:
    size = max(1, len(values))
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(size,),
        shards=(size,),
        dtype=COLUMNS.get(name, "int32"),
        dimension_names=COLUMN_DIMENSIONS,
        compressors=None,
        config={"write_empty_chunks": True},
    )
    if len(values):
        array[:] = values


def _digest_files(location: Location) -> dict[str, str]:
    """SHA-256 of every file of the folder but the root's, by relative path."""
    names = [info.path.removeprefix(location.path + "/") for info in location.walk()]
    expected = sorted(name for name in names if name != ROOT_FILE)
    with ThreadPoolExecutor(1 if location.local else THREADS) as pool:
        digests = pool.map(lambda name: _digest_file(location.child(name)), expected)
        return dict(zip(expected, digests, strict=True))


def _digest_file(location: Location) -> str:
    digest = hashlib.sha256()
    with location.open() as file:
        while block := file.read(8 << 20):
            digest.update(block)
    return digest.hexdigest()


def _seal_root(path: Path) -> None:
    text = path.read_bytes()
    found = find_seal(text)
    if found is None or found[1] != BLANK:
        raise RuntimeError(f"{path}: the writer's attributes hold no blank seal")
    digest = hashlib.sha256(text).hexdigest().encode()
    path.write_bytes(text[: found[0]] + digest + text[found[0] + len(BLANK) :])


def _check_root(text: bytes) -> list[str]:
    found = find_seal(text)
    if found is None:
        return ["no seal: written or changed by something else"]
    return [] if digest_unsealed(text) == found[1] else [f"{ROOT_FILE}: bytes differ"]


def _compare_files(written: dict[str, str], found: dict[str, str]) -> list[str]:
    problems = [f"{name}: missing" for name in sorted(written.keys() - found.keys())]
    problems += [f"{name}: stray file" for name in sorted(found.keys() - written.keys())]
    changed = sorted(name for name in written.keys() & found.keys() if written[name] != found[name])
    return problems + [f"{name}: bytes differ from those that were written" for name in changed]


def _compare_arrays(location: Location, text_columns: tuple[str, ...]) -> list[str]:
    names = {name for name in location.names() if name != ROOT_FILE}
    expected = {name for name in column_names("embeddings", text_columns) if name != "slide_id"}
    problems = [f"column {name}: missing" for name in sorted(expected - names)]
    problems += [f"column {name}: unknown" for name in sorted(names - expected)]
    for name in sorted(expected & names):
        found = str(describe_array(location, name).dtype)
        allowed = ["float16", "float32"] if name == VECTOR else [COLUMNS.get(name, "int32")]
        if found not in allowed:
            problems.append(f"column {name}: {found} instead of {' or '.join(allowed)}")
    if not problems:
        ids = _read_array(location, "tile_id")
        if not np.array_equal(ids, np.arange(len(ids))):
            problems.append("column tile_id: not 0, 1, 2, ...")
    return problems


def _check_lengths(location: Location, arrays: Mapping[str, Sized]) -> None:
    """Refuse columns of different lengths.

    Raises:
        StoreError: They are.
    """
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise unreadable(location.path, ValueError(f"columns of different lengths: {lengths}"))


def _read_text(location: Location, name: str) -> npt.NDArray[np.str_]:
    """A column of text: integers and the names they stand for."""
    meta = read_json(location.child(f"{name}/{ROOT_FILE}"))
    try:
        names = [str(said) for said in _attributes(meta).get(NAMES_KEY, [])]
    except (KeyError, TypeError, AttributeError) as error:
        raise unreadable(f"{location.path}/{name}", error) from None
    codes = _read_array(location, name)
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
        raise StoreError(
            f"{location.path}/{name}: its codes stand for no names, so it is damaged; delete the "
            "partition and extract it again"
        )
    text: npt.NDArray[np.str_] = np.array(names, np.str_)[codes]
    return text


def _attributes(root: Any) -> Any:
    return root["attributes"] if isinstance(root, dict) else {}


def _read_array(location: Location, name: str, cut: slice | None = None) -> Any:
    """An array, or rows of it that begin with a shard; without zarr where the shards allow it."""
    array = describe_array(location, name)
    rows = cut or slice(0, array.rows)
    if array.straight:
        values = read_shards(location.child(name), array, rows)
        if values is not None:
            return values
    values = _read_by_zarr(location, name, rows)
    if values.shape != (rows.stop - rows.start, *array.shape[1:]) or values.dtype != array.dtype:
        raise unreadable(f"{location.path}/{name}", ValueError("another shape than it states"))
    return values


def _read_by_zarr(location: Location, name: str, rows: slice) -> Any:
    """Rows of an array whose blocks do not lie as we write them.

    Raises:
        StoreError: Whatever zarr and its codecs make of damaged files.
    """
    import zarr

    try:
        with _on_this_machine(location) as path:
            group: Any = zarr.open_group(
                str(path), mode="r", zarr_format=3, use_consolidated=False
            )  # never version 2, whose codecs know pickle
            return np.asarray(group[name][rows])
    except StoreError:
        raise
    except _ZARR_FAILS as error:
        raise unreadable(f"{location.path}/{name}", error) from None


@contextmanager
def _on_this_machine(location: Location) -> Iterator[Path]:
    """The folder as a local one: a copy where it is not."""
    if location.local:
        yield Path(location.path)
        return
    folder = Path(tempfile.mkdtemp(prefix="histo-ray-"))
    try:
        for info in location.walk():
            target = folder / info.path.removeprefix(location.path + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Location(location.system, info.path).read_bytes())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
