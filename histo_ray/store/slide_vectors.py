"""Vectors of slides, `slides/encoder=<slide encoder>/tiles=<tile encoder>/tiling=<fp>/`.

One file a slide, whole or not there at all, with its receipt inside: a row of
`schemas/slide_vectors.json`. The receipt names the partition that was encoded by its digests, so
what no longer fits its tiles is seen.
"""

import hashlib
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, check_bytes, seal_bytes
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import check_file_name, check_slug
from histo_ray.store.location import Location
from histo_ray.store.partition import RECEIPT_KEY, VECTOR, first_line
from histo_ray.types.slide_vector_receipt import SlideVectorKey, SlideVectorReceipt

SLIDES = "slides"
"""Folder of all slide vectors."""
FORMAT_VERSION = 1
_SUFFIX = ".parquet"


class SlideVector(NamedTuple):
    """The vector of one slide."""

    receipt: SlideVectorReceipt
    vector: Float32s
    """(dim,)."""


def has_slide_encoder(root: Location, slide_encoder: str) -> bool:
    """Whether a store has vectors of a slide encoder, of any tiles."""
    return f"encoder={slide_encoder}" in root.child(SLIDES).names()


def slide_folder(slide_encoder: str, encoder: str, tiling: str) -> str:
    """Folder of all vectors of one slide encoder, tile encoder and tiling."""
    return (
        f"{SLIDES}/encoder={check_slug('slide encoder', slide_encoder)}"
        f"/tiles={check_slug('encoder', encoder)}/tiling={check_slug('tiling', tiling)}"
    )


def slide_path(key: SlideVectorKey) -> str:
    """Path of a slide's vector, relative to the store."""
    folder = slide_folder(key.slide_encoder, key.encoder, key.tiling)
    return f"{folder}/{check_file_name('slide_id', key.slide_id)}{_SUFFIX}"


def parse_slide_path(path: str) -> SlideVectorKey | None:
    """The vector that a relative path stands for: the inverse of `slide_path`; None: of none."""
    parts = path.split("/")
    if len(parts) != 5 or not path.endswith(_SUFFIX):
        return None
    names = ("encoder=", "tiles=", "tiling=")
    one, two, three = (p.removeprefix(name) for p, name in zip(parts[1:4], names, strict=True))
    key = SlideVectorKey(one, two, three, parts[4].removesuffix(_SUFFIX))
    try:
        return key if slide_path(key) == path else None
    except StoreError:
        return None


def list_slide_vectors(root: Location) -> list[SlideVectorKey]:
    """Keys of all slide vectors of a store, sorted; one listing."""
    prefix = f"{root.path}/"
    paths = (info.path.removeprefix(prefix) for info in root.child(SLIDES).walk())
    found = (parse_slide_path(path) for path in paths)
    return sorted(key for key in found if key is not None)


def list_encoded(root: Location, slide_encoder: str, encoder: str, tiling: str) -> set[str]:
    """Slides that have a vector of a slide encoder, tile encoder and tiling."""
    names = root.child(slide_folder(slide_encoder, encoder, tiling)).names()
    return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}


def write_slide_vector(root: Location, receipt: SlideVectorReceipt, vector: Float32s) -> None:
    """Write the vector of a slide, whole or not at all; another one there is replaced."""
    schema = arrow_schema("slide_vectors", len(vector), "float32")
    columns = {
        "slide_id": [receipt.slide_id],
        "patient_id": [receipt.patient_id],
        "n_tiles": [receipt.input.tile_count],
        VECTOR: pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(vector), pa.float32()), type=schema.field(VECTOR).type
        ),
    }
    table = pa.table(columns, schema=schema)
    table = table.replace_schema_metadata({RECEIPT_KEY: receipt.model_dump_json()})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(MARKS)
    facts, tiles = receipt.slide_encoder, receipt.input
    key = SlideVectorKey(facts.name, tiles.encoder, tiles.tiling, receipt.slide_id)
    write_bytes(root, slide_path(key), seal_bytes(sink.getvalue()))


def read_slide_vector(root: Location, key: SlideVectorKey) -> SlideVector | None:
    """The vector of a slide, held against its digests; None if it is not there.

    Raises:
        StoreError: It is damaged, or of another slide than its path says.
    """
    path = slide_path(key)
    location = root.child(path)
    if not location.kind():
        return None
    try:
        return parse_slide_vector(location.read_bytes(), path)
    except FileNotFoundError:  # removed just now
        return None


def parse_slide_vector(data: bytes, path: str) -> SlideVector:
    """Read the bytes of a slide vector's file.

    Args:
        data: All bytes.
        path: Relative to the store.

    Raises:
        StoreError: Damaged, or of another slide than its path says.
    """
    if check_bytes(data) != "sealed":
        raise _damaged(path, "its bytes are not those that were written")
    try:
        table = pq.read_table(native(data))
        receipt = SlideVectorReceipt.model_validate_json(
            (table.schema.metadata or {})[RECEIPT_KEY.encode()]
        )
        vector = table[VECTOR].combine_chunks().flatten().to_numpy()
    except (OSError, KeyError, ValueError, ValidationError, pa.ArrowException) as error:
        raise _damaged(path, first_line(error)) from None
    facts, tiles = receipt.slide_encoder, receipt.input
    key = SlideVectorKey(facts.name, tiles.encoder, tiles.tiling, receipt.slide_id)
    if slide_path(key) != path:
        raise _damaged(path, f"its receipt is of {slide_path(key)}")
    if (
        len(table) != 1
        or len(vector) != facts.dim
        or digest_vector(vector) != receipt.vector_sha256
    ):
        raise _damaged(path, "its vector is not the one that its receipt names")
    return SlideVector(receipt, vector.astype(np.float32))


def digest_vector(vector: Float32s) -> str:
    """SHA-256 over a vector's little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").tobytes()).hexdigest()


def find_slide_problems(root: Location, paths: Iterable[str]) -> list[str]:
    """What is wrong with files below `slides/`, a line each."""
    problems = []
    for path in paths:
        if parse_slide_path(path) is None:
            problems.append(
                f"{path}: no slide vector has such a path ({SLIDES}/encoder=<slide encoder>/"
                f"tiles=<encoder>/tiling=<slug>/<slide_id>{_SUFFIX}); move it out of the store"
            )
            continue
        try:
            parse_slide_vector(root.child(path).read_bytes(), path)
        except FileNotFoundError:
            continue
        except StoreError as error:
            problems.append(str(error))
    return problems


def _damaged(path: str, what: str) -> StoreError:
    return StoreError(f"{path} is damaged: {what}; delete it, and encode-slides makes it again")
