"""Cards of slide encoders that were fitted, `slide_encoders/<name>/` of a store.

The card, `slide_encoder.json`, is written last: where it is, the slide encoder is whole. It names
its arrays by their digest, the tile encoder that it reads, and whom it was fitted on.
"""

import hashlib
import json
import re

from pydantic import Field

from histo_ray.config import parse_settings
from histo_ray.encoder_spec import NAME_PATTERN
from histo_ray.errors import ConfigError, StoreError, UnreachableError
from histo_ray.settings import Settings
from histo_ray.slides.barcodes import cut_barcode
from histo_ray.storage.seal import check_bytes, seal_json, strip_marks
from histo_ray.store.atomic_write import publish_files
from histo_ray.store.location import Location
from histo_ray.store.partition import first_line
from histo_ray.types import JsonObject

SLIDE_ENCODERS = "slide_encoders"
CARD, ARRAYS = "slide_encoder.json", "slide_encoder.safetensors"
CARD_VERSION = 1
_REMEDY = "restore it from a copy, or fit it again under another name"


class FittedOn(Settings):
    """Whom a slide encoder was fitted on."""

    supervised: bool
    """Whether labels were used: it then must not see patients that it is evaluated on."""
    labels: str = ""
    """What the labels were, in words; empty without any."""
    patients: int
    slides: int
    tiles: int
    """Tiles that were fitted on."""
    salt: str
    patient_hashes: tuple[str, ...] | None
    """Salted SHA-256 of each person, sorted; None: left out, so overlap cannot be found."""
    snapshot_sha256: str
    """Digest of the partitions."""
    synthetic: bool = False
    """Whether a slide of them is marked as synthetic."""

    def find_patients(self, patients: list[str]) -> list[str]:
        """Find the patients that it was fitted on; none where hashes were left out."""
        known = set(self.patient_hashes or ())
        return sorted({one for one in patients if hash_person(self.salt, one) in known})


class SlideEncoderCard(Settings):
    """`slide_encoder.json`: where a fitted slide encoder comes from."""

    format_version: int = CARD_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    created: str
    """ISO 8601, UTC."""
    fingerprint: str
    """SHA-256 over everything that decided the arrays."""
    file_sha256: str
    """SHA-256 of the bytes of slide_encoder.safetensors."""
    weights_sha256: str
    """Digest of method and arrays, as receipts of its vectors name it."""
    method: str
    """`vlad`, `fisher`, `mixture` or `attention`."""
    published_as: str
    """The published method that it is."""
    encoder: str
    """Tile encoder whose vectors it reads, as the store calls it."""
    encoder_weights_sha256: str
    tile_dim: int
    dim: int
    """Length of a slide's vector."""
    tile_px: int | None
    mpp: float | None
    """Of the tiles that it was fitted on; None: unknown."""
    fitted_on: FittedOn
    settings: JsonObject
    seed: int
    library_version: str


def hash_person(salt: str, patient_id: str) -> str:
    """Hash a person as predictors' cards do: SHA-256 of salt, a NUL and the id, in hex.

    Args:
        salt: Of the card.
        patient_id: As a store calls the patient; of a TCGA barcode the person's part counts.
    """
    return hashlib.sha256(f"{salt}\0{cut_barcode(patient_id)}".encode()).hexdigest()


def list_slide_encoders(root: Location) -> list[str]:
    """Names of the slide encoders that are published into a store, sorted; cards are not read."""
    names = root.child(SLIDE_ENCODERS).names()
    return [name for name in names if root.child(f"{SLIDE_ENCODERS}/{name}/{CARD}").kind()]


def read_slide_card(root: Location, name: str) -> SlideEncoderCard | None:
    """Read the card of a published slide encoder.

    Returns:
        None if the store has none of that name; any text may be asked for.

    Raises:
        StoreError: The card is damaged, or of a newer version.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        return None
    location = root.child(f"{SLIDE_ENCODERS}/{name}/{CARD}")
    data = _read_bytes(location)
    if data is None:
        return None
    try:
        values = json.loads(data)
        version = values.get("format_version")
    except (ValueError, AttributeError):
        raise StoreError(f"{location.path} is damaged: it is no JSON object; {_REMEDY}") from None
    if not isinstance(version, int) or version > CARD_VERSION:
        raise StoreError(
            f"{location.path} has the format version {version}, and this histo-ray reads versions "
            f"up to {CARD_VERSION}; upgrade histo-ray"
        )
    if check_bytes(data) != "sealed":
        raise StoreError(
            f"{location.path} is damaged: its bytes are not those that were written; {_REMEDY}"
        )
    try:
        card = parse_settings(SlideEncoderCard, strip_marks(values), location.path)
    except ConfigError as error:
        raise StoreError(f"{error}; {_REMEDY}") from None
    if card.name != name:
        raise StoreError(
            f"{location.path} is the card of {card.name!r}, not of {name!r}; rename the folder back"
        )
    return card


def read_slide_arrays(root: Location, card: SlideEncoderCard) -> bytes:
    """Read the arrays of a published slide encoder (safetensors).

    Raises:
        StoreError: They are not there, or not those that the card names.
    """
    location = root.child(f"{SLIDE_ENCODERS}/{card.name}/{ARRAYS}")
    data = _read_bytes(location)
    if data is None:
        raise StoreError(f"{location.path} is missing, though its card is there; {_REMEDY}")
    if hashlib.sha256(data).hexdigest() != card.file_sha256:
        raise StoreError(
            f"{location.path} is not the file that {CARD} names by its SHA-256; {_REMEDY}"
        )
    return data


def publish_slide_encoder(root: Location, card: SlideEncoderCard, arrays: bytes) -> bool:
    """Put a slide encoder into a store, whole or not at all; False if the name was taken."""
    text = seal_json(card.model_dump(mode="json"))
    return publish_files(root, f"{SLIDE_ENCODERS}/{card.name}", {ARRAYS: arrays, CARD: text})


def _read_bytes(location: Location) -> bytes | None:
    """All of a file; None if it is not there."""
    try:
        return location.read_bytes() if location.kind() == "file" else None
    except UnreachableError:
        raise
    except FileNotFoundError:  # removed just now
        return None
    except OSError as error:
        raise StoreError(
            f"{location.path} is not readable ({first_line(error)}); {_REMEDY}"
        ) from None
