"""The record of an extraction run; stored in its table as a receipt is in its partition."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from histo_ray.store.partition import RECEIPT_KEY
from histo_ray.types import JsonObject


class ExtractionState(StrEnum):
    """State of a run; the values stand in its record."""

    RUNNING = "running"
    """It is at work, or was killed."""
    FINISHED = "finished"
    """Every slide has an outcome."""
    INTERRUPTED = "interrupted"
    """Ended by Ctrl-C or SIGTERM."""
    STOPPED = "stopped"
    """Ended by an error that was not one slide's fate."""
    UNKNOWN = "unknown"
    """Its table was written by a version that kept no record."""


class RunRecord(BaseModel):
    """One run as a whole. Shares are of the time of work, over all processes of a kind."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # newer versions say more

    run_id: str
    state: ExtractionState
    began_at: str
    """UTC, ISO 8601; empty where unknown."""
    encoders: tuple[str, ...]
    """Their names in the store."""
    outcomes: dict[str, int]
    """How many slides and encoders ended how, so far."""
    slides: int
    """That have an outcome."""
    seconds: float = 0.0
    """From the command's start."""
    startup_s: float = 0.0
    """Until the first slide was given out: Ray, processes, weights."""
    ray_start_s: float = 0.0
    """Of these: Ray itself, started here or joined; 0 without Ray."""
    process_start_s: float = 0.0
    """Of these: from then until the first encoder's process loaded; 0 without Ray."""
    loading_s: float = 0.0
    """Of these: that an encoder's process took to import torch and load weights."""
    work_s: float = 0.0
    """From then on."""
    tiles_read: int = 0
    tiles_encoded: int = 0
    """By all encoders; a tile counts once."""
    tiles_per_s: float = 0.0
    """Encoded, from the first batch to the last."""
    file_bytes: int = 0
    """Read of slides, as far as they are read directly."""
    nodes: int = 0
    cores: int = 0
    """CPUs of the cluster."""
    gpus: int = 0
    """GPUs of the cluster."""
    readers: int = 0
    encoder_workers: int = 0
    encoder_threads: int = 0
    """Threads of each encoder worker."""
    batch_size: int = 0
    """Tiles."""
    gpu_memory_gb: float = 0.0
    """Least free memory of a GPU when the batch size was chosen; 0: unknown, or none was needed."""
    reader_busy: float = 0.0
    encoder_busy: float = 0.0
    gpu_busy: float = 0.0
    """Share in which the GPUs computed; 0 without any."""
    cores_busy: float = 0.0
    """Share of all cores that readers and encoders used."""
    storage_wait: float = 0.0
    """Share of the reading of tiles that was waiting for storage, as far as it is known."""
    blocks_waiting: float = 0.0
    """Blocks of tiles that were read and waited for an encoder, on average."""
    deaths: int = 0
    """Processes that died and were replaced."""
    restarts: int = 0
    """Times that a slide began again because a node was lost."""
    devices: tuple[str, ...] = ()
    """Devices that encoded, in words."""
    left_out: tuple[str, ...] = ()
    """Processes that the run went on without, and why; a sentence each."""
    smallest_batch: int = 0
    """Fewest tiles that an encoder took at once because memory ran out; 0: none had to."""
    bottleneck: str = ""
    hint: str = ""
    """What to change, in a sentence."""
    settings: JsonObject = {}
    """Settings of the command that are not defaults."""
    settings_sha256: str = ""
    """Over all settings, in canonical JSON."""
    versions: dict[str, str] = {}


def pack_record(record: RunRecord) -> dict[bytes, bytes]:
    """The record as metadata of an Arrow schema."""
    return {RECEIPT_KEY.encode(): record.model_dump_json().encode()}


def unpack_record(metadata: Mapping[bytes, bytes] | None) -> RunRecord | None:
    """The record in an Arrow schema's metadata; None if it has none.

    Raises:
        ValueError: What is there is not a record.
    """
    text = (metadata or {}).get(RECEIPT_KEY.encode())
    return None if text is None else RunRecord.model_validate_json(text)
