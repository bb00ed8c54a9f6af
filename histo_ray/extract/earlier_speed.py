"""Speed of an earlier run of a store: what a small plan's estimate of time is made from. Pure."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from histo_ray.config import RunSettings
from histo_ray.store.extraction_record import RunRecord

LEAST_TILES = 300
"""Tiles that a run has encoded at least for its speed to count; fewer are mostly warm-up."""
_ALIKE = ("tile_px", "mpp", "stain", "dtype", "precision", "device", "engine", "encoder_threads")
"""Settings by which runs are as quick as each other, beside encoders and machine."""


class EarlierSpeed(NamedTuple):
    """How quick an earlier run was."""

    run_id: str
    tiles_per_s: float
    """Read and encoded by all encoders."""


class Machine(NamedTuple):
    """What of a machine a run's record says."""

    cores: int
    gpus: int


def find_earlier_speed(
    records: Iterable[RunRecord],
    encoders: Collection[str],
    settings: RunSettings,
    machine: Machine,
) -> EarlierSpeed | None:
    """Find the largest run that did the same work on a machine of as many cores and GPUs.

    Args:
        records: Runs of a store.
        encoders: Names in the store of those that are asked for.
        settings: The run that is planned; of one tiling.
        machine: Where it would run, alone.

    Returns:
        Its speed; None where no run is like it, or none was large enough to tell.
    """
    alike = [
        record
        for record in records
        if record.tiles_encoded >= LEAST_TILES
        and record.tiles_per_s > 0
        and set(record.encoders) == set(encoders)
        and (record.nodes, record.cores, record.gpus) == (1, *machine)
        and _is_alike(record, settings)
    ]
    best = max(alike, key=lambda record: (record.tiles_encoded, record.run_id), default=None)
    return None if best is None else EarlierSpeed(best.run_id, best.tiles_per_s)


def _is_alike(record: RunRecord, settings: RunSettings) -> bool:
    own = settings.model_dump(mode="json", include=set(_ALIKE), exclude_defaults=True)
    return own == {name: value for name, value in record.settings.items() if name in _ALIKE}
