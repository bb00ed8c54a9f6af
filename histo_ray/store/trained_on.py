"""The tiles and patients that a published encoder was fine-tuned on: `trained_on.parquet`.

It lies beside the card, one row a tile: digests and hashes, no pixels and no ids, by which later
evaluations find that they would test an encoder on what it was trained on. The file's SHA-256
stands in the card.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.schema import arrow_schema
from histo_ray.slides.barcodes import cut_barcode
from histo_ray.storage.native import native
from histo_ray.storage.seal import MARKS, seal_bytes
from histo_ray.store.location import Location
from histo_ray.store.models import MODELS, ModelCard

TRAINED_ON_FILE = "trained_on.parquet"
SCHEMA = "finetune_tiles"
DIGITS = 32
"""Hex digits that are kept of the SHA-256 of a tile's decoded pixels, which files of other formats
with the same pixels share, and of a patient."""
_SALT = "histo-ray trained on"
_REMEDY = "restore it from a copy, or fine-tune again under another name"


@dataclass(frozen=True)
class TrainedOn:
    """Tiles of N rows, sorted by digest."""

    digests: tuple[str, ...]
    """(N,) first 32 hex digits of the SHA-256 of the decoded pixels."""
    picture_hashes: npt.NDArray[np.uint64]
    """(N,) perceptual hash, by which near-duplicates are found; 0 for a tile without contrast."""
    patients: tuple[str, ...]
    """(N,) hash of each tile's patient; empty where unknown."""
    held_out: npt.NDArray[np.bool_]
    """(N,) whether a tile decided when training stopped, but was not trained on."""

    @property
    def knows_patients(self) -> bool:
        """Whether every tile has a patient."""
        return "" not in self.patients

    def find_tiles(self, digests: Sequence[str]) -> tuple[list[int], list[int]]:
        """Find tiles among those trained on, and those held out.

        Args:
            digests: (M,) SHA-256, in hex, of the tiles' decoded pixels.

        Returns:
            Rows of `digests` that were trained on, and rows that were held out only.
        """
        trained = {d for d, held in zip(self.digests, self.held_out, strict=True) if not held}
        held = {*self.digests} - trained
        short = [digest[:DIGITS] for digest in digests]
        return (
            [row for row, one in enumerate(short) if one in trained],
            [row for row, one in enumerate(short) if one in held],
        )

    def find_patients(self, patient_ids: Iterable[str]) -> list[str]:
        """Find the patients with tiles among those trained on, or held out; each once, sorted."""
        known = {*self.patients} - {""}
        return sorted({name for name in patient_ids if hash_patient(name) in known})

    def encode(self) -> bytes:
        """Parquet of all rows, sorted, with its own digest in the footer."""
        columns = {
            "digest": self.digests,
            "picture_hash": self.picture_hashes.view(np.int64),
            "patient": self.patients,
            "held_out": self.held_out,
        }
        order = [("digest", "ascending"), ("patient", "ascending"), ("held_out", "ascending")]
        table = pa.table(columns, arrow_schema(SCHEMA)).sort_by(order)
        stream = io.BytesIO()
        with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(MARKS)
        return seal_bytes(stream.getvalue())


def hash_patient(patient_id: str) -> str:
    """Hash a patient, so that the file names nobody; of a TCGA barcode the person's part counts."""
    text = f"{_SALT}\0{cut_barcode(patient_id)}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS] if patient_id else ""


def join_trained_on(parts: Sequence[TrainedOn]) -> TrainedOn:
    """Join what an encoder and the one that it was made from were trained on."""
    return TrainedOn(
        tuple(digest for part in parts for digest in part.digests),
        np.concatenate([part.picture_hashes for part in parts]),
        tuple(patient for part in parts for patient in part.patients),
        np.concatenate([part.held_out for part in parts]),
    )


def read_trained_on(root: Location, card: ModelCard) -> TrainedOn | None:
    """Read what a published encoder was fine-tuned on; None for cards from before it was kept.

    Raises:
        StoreError: The file is not there, or not the one that the card names.
        UnreachableError: The store does not answer.
    """
    if not card.data.trained_on_sha256:
        return None
    location = root.child(f"{MODELS}/{card.name}/{TRAINED_ON_FILE}")
    try:
        data = location.read_bytes()
    except FileNotFoundError:
        raise StoreError(
            f"{location.path} is missing, though its card is there; {_REMEDY}"
        ) from None
    if hashlib.sha256(data).hexdigest() != card.data.trained_on_sha256:
        raise StoreError(
            f"{location.path} is not the file that the card names by its SHA-256; {_REMEDY}"
        )
    table = pq.read_table(native(data))
    return TrainedOn(
        tuple(table["digest"].to_pylist()),
        table["picture_hash"].to_numpy().astype(np.int64).view(np.uint64),
        tuple(table["patient"].to_pylist()),
        table["held_out"].to_numpy().astype(bool),
    )
