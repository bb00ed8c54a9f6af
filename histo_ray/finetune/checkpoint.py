"""Checkpoints of a training, saved whole or not at all; a run goes on as if never stopped."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch

from histo_ray.errors import ConfigError
from histo_ray.finetune.curves import CurveRow
from histo_ray.finetune.nested import pack_nested, unpack_nested
from histo_ray.store.atomic_write import write_bytes
from histo_ray.store.location import Location

Weights = dict[str, torch.Tensor]


@dataclass
class Position:
    """Position within step 2, with the sums of the present epoch."""

    epoch: int = 0
    """Whole epochs done."""
    batch: int = 0
    """Batches done of the next one."""
    loss: float = 0.0
    """Sum over the tiles of these batches."""
    correct: int = 0
    """Tiles of these batches that were classified right."""
    seconds: float = 0.0
    """Time spent on these batches."""
    best_accuracy: float = -1.0
    best_epoch: int = 0
    done: bool = False


@dataclass
class Checkpoint:
    """All that training needs to go on. Random numbers follow from seed and position."""

    fingerprint: str
    """Fingerprint of everything that decides the result; see `FinetuneJob.fingerprint`."""
    position: Position
    weights: Weights
    """Weights of the classifier."""
    average: Weights = field(default_factory=dict)
    """Moving average of the weights; empty without one."""
    first: Weights = field(default_factory=dict)
    """Weights after step 1, should step 2 end worse; empty in checkpoints of version 0.1.0."""
    start: Weights = field(default_factory=dict)
    """Weights at the beginning of step 2, where WiSE-FT needs them and `first` is written
    otherwise, batch norms having been recalibrated; empty where `first` serves."""
    best: Weights = field(default_factory=dict)
    """Weights of the best epoch; empty where the last is taken."""
    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    curves: list[CurveRow] = field(default_factory=list)

    @property
    def outcome(self) -> Weights:
        """The weights that are evaluated and published."""
        return self.best or self.average or self.weights


class Keeper(Protocol):
    """Keeps one checkpoint."""

    def load(self, fingerprint: str) -> Checkpoint | None:
        """The checkpoint kept; None if there is none."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep this one in place of the one before."""


class NoKeeper:
    """Keeps nothing."""

    def load(self, fingerprint: str) -> Checkpoint | None:
        """Nothing is kept."""
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Nothing is kept."""


class FileKeeper:
    """Keeps it in one file, local or remote."""

    def __init__(self, root: Location, relative: str) -> None:
        """Keep it at `relative` below `root`; the file need not be there."""
        self._root = root
        self._relative = relative

    def load(self, fingerprint: str) -> Checkpoint | None:
        """Read it.

        Raises:
            ConfigError: It is damaged, or of another run.
        """
        place = self._root.child(self._relative)
        if not place.kind():
            return None
        checkpoint = _decode(place.read_bytes(), place.path)
        if checkpoint.fingerprint != fingerprint:
            raise ConfigError(
                f"{place.path} is a checkpoint of another run, with other tiles, settings or "
                "weights; delete it, or choose another --name"
            )
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write it; a reader finds the old one or the new one, never half of one."""
        write_bytes(self._root, self._relative, _encode(checkpoint))

    def delete(self) -> None:
        """Remove it, if it is there."""
        place = self._root.child(self._relative)
        if place.kind():
            place.delete()


def _encode(checkpoint: Checkpoint) -> bytes:
    content = {key: getattr(checkpoint, key) for key in Checkpoint.__dataclass_fields__}
    content["position"] = asdict(checkpoint.position)
    content["curves"] = [row._asdict() for row in checkpoint.curves]
    return pack_nested(content)


def _decode(data: bytes, path: str) -> Checkpoint:
    try:
        content = unpack_nested(data)
        content["position"] = Position(**content["position"])
        content["curves"] = [CurveRow(**row) for row in content["curves"]]
        return Checkpoint(**content)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{path} is damaged, or a checkpoint of another version; delete it to train from the "
            "start"
        ) from None
