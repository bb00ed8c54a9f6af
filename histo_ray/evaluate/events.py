"""What an evaluation tells while it runs, as data; `report.event_words` renders it as lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class CheckingVectors:
    """Stored vectors are held against their digests."""

    partitions: int


@dataclass(frozen=True)
class CohortJoined:
    """Which patients are evaluated and which are not."""

    patients: int
    with_features: int
    with_labels: int
    features_only: int
    labels_only: int
    targets: int
    dropped: int
    lost: Mapping[str, int] = field(default_factory=dict)
    """Labelled patients without slides of an encoder, by encoder."""
    notes: tuple[str, ...] = ()
    """What reading and joining the labels noted, in words."""
    noun: str = "gene"
    """What one target is called."""


@dataclass(frozen=True)
class CostEstimated:
    """What heads on tiles will cost, from one fit on this machine."""

    fits: int
    head: str
    rows: int
    dim: int
    encoder: str
    minutes: float
    tried_rows: int
    tried_seconds: float
    cheaper_instead: bool
    """Least squares takes the place of logistic regression, which would cost many times that."""
    cheaper_possible: bool
    """Least squares could take its place."""


@dataclass(frozen=True)
class RunHere:
    """The work is so small that it is done in this process, without Ray."""

    seconds: float
    """Expected of what is left."""
    start_seconds: float
    """What starting Ray costs."""


@dataclass(frozen=True)
class Scoring:
    """All predictions are there."""


class FoundState(StrEnum):
    """How a run was found."""

    DONE = "done"
    FINISHED_BY_ANOTHER = "finished by another"


@dataclass(frozen=True)
class RunFound:
    """A run needs no work."""

    run_id: str
    state: FoundState


@dataclass(frozen=True)
class WaitingForRun:
    """Another process does this very run."""

    run_id: str
    holder: str


@dataclass(frozen=True)
class TrainingOnAll:
    """Heads are trained on all patients or tiles, to be kept."""

    rows: int
    rows_are: str
    """`patient` or `tile`."""
    configurations: int


@dataclass(frozen=True)
class PredictorFound:
    """This very predictor was published before."""

    name: str


Event = (
    CheckingVectors
    | CohortJoined
    | CostEstimated
    | RunHere
    | Scoring
    | RunFound
    | WaitingForRun
    | TrainingOnAll
    | PredictorFound
)
