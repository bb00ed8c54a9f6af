"""What the report reads of `run.json`. Keys that it does not know are left alone."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

OLDEST = datetime.min.replace(tzinfo=UTC)
"""When a run was made that does not say when."""


class Note(BaseModel):
    """Base of all notes: what is missing takes its default, so that older runs stay readable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FoldsNote(Note):
    """How rows were split."""

    n_folds: int
    repeats: int
    seeds: tuple[int, ...] = ()
    sha256: str = ""
    kept_together: str = ""


class RunNote(Note):
    """What every evaluation says."""

    task: str
    created_at: str = ""
    seconds: float = 0.0
    remark: str = ""
    folds: FoldsNote
    statistics_version: int = 1
    """2 and above: tests over folds know how few the independent units are."""
    tests: dict[str, Any] | None = None
    """Splits, units and degrees of freedom; None: a run from before they were recorded."""
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def created(self) -> datetime:
        """When; the beginning of time if that is not said."""
        try:
            found = datetime.fromisoformat(self.created_at)
        except ValueError:
            return OLDEST
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class TileSetNote(Note):
    """Labelled tiles."""

    name: str
    sha256: str = ""
    classes: dict[str, int] = Field(default_factory=dict)
    tiles: int


class TissueEncoder(Note):
    """An encoder's embeddings of one tile set."""

    vectors_sha256: str = ""
    weights_sha256: str = ""
    request: str = ""


class TissueSummary(Note):
    """One encoder on one split."""

    accuracy: float
    balanced_accuracy: float
    recalls: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    """(K, K) over all repeats; true class by predicted class."""


class TissueNote(RunNote):
    """A tissue evaluation."""

    head: str = ""
    sets: dict[str, TileSetNote]
    encoders: dict[str, dict[str, TissueEncoder]]
    classes: tuple[str, ...]
    summary: dict[str, dict[str, TissueSummary]]
    """By split, then encoder."""
    comparisons: tuple[dict[str, Any], ...] = ()


class LabelsNote(Note):
    """The label table."""

    path: str = ""
    sha256: str = ""
    patients: int = 0
    targets: int = 0
    transform: str = ""
    dropped: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class CohortNote(Note):
    """Who was there, and who was left."""

    slides: int = 0
    """With a receipt, tiles or none."""
    slides_failed: int | None = None
    """Of the manifest, but without a receipt; None where the run is too old to say."""
    slides_without_tiles: int = 0
    patients_lost: int = 0
    """Without a single slide with tiles."""
    patients_with_features: int = 0
    patients_with_labels: int = 0
    patients_used: int = 0
    features_only: int = 0
    labels_only: int = 0
    lost: dict[str, int] = Field(default_factory=dict)
    """Patients that one encoder lacks, by encoder."""


class OutcomeEncoder(Note):
    """An encoder's embeddings of the slides."""

    request: str = ""
    weights_sha256: str = ""
    partitions: int = 0
    snapshot_sha256: str = ""
    dim: int = 0
    tiling: str = ""


class OutcomeNote(RunNote):
    """An evaluation of expression or mutation."""

    labels: LabelsNote = LabelsNote()
    cohort: CohortNote = CohortNote()
    encoders: dict[str, OutcomeEncoder]
    configurations: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    chance_test: str = ""
    """Test of whether a target is predicted better than chance."""
    sentences: tuple[str, ...] = ()
