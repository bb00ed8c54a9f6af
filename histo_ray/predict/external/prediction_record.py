"""The record of predictions in a store, `run.json`: what was applied to what, and who was left out.

Written last: where it is, the tables beside it are whole.
"""

import platform
from datetime import UTC, datetime
from importlib.metadata import version

from pydantic import Field

from histo_ray._version import __version__
from histo_ray.evaluate.evaluation_record import MaybeFloat, RecordPart
from histo_ray.learn.statistics.calibration_scores import SlopeGap
from histo_ray.predict.card import RESEARCH_USE

PREDICTIONS = "predictions"
RECORD_VERSION = 1
_PACKAGES = ("numpy", "scipy", "pyarrow")


class MadeRecord(RecordPart):
    """What every record of this room says."""

    record_version: int = RECORD_VERSION
    run_id: str
    created_at: str = ""
    seconds: float = 0.0
    use: str = RESEARCH_USE
    synthetic: bool = False
    """Whether the predictor was fitted on, or the slides are, synthetic data."""
    notes: tuple[str, ...] = ()
    """What a reader has to know, in words."""
    versions: dict[str, str] = Field(default_factory=dict)


class PredictionRecord(MadeRecord):
    """`predictions/<predictor>/<run>/run.json`."""

    predictor: str
    predictor_fingerprint: str
    predictor_sha256: str
    """SHA-256 of its arrays."""
    task: str
    kind: str
    targets: tuple[str, ...]
    scale: str = ""
    """What predictions mean, in words."""
    encoder: str
    """As this store calls it."""
    weights_sha256: str
    tiling: str
    slides: int
    """With tiles, whose patients are predicted."""
    empty_slides: tuple[str, ...] = ()
    where: str = ""
    """Condition on the tiles that were used; empty: all were."""
    filtered_slides: tuple[str, ...] = ()
    """Slides with tiles, none of which it keeps."""
    snapshot_sha256: str
    """Digest of the partitions and of whose they are."""
    patients: int
    """Predicted."""
    overlap: tuple[str, ...] = ()
    """Patients left out, as the predictor was fitted on them."""
    renamed: tuple[str, ...] = ()
    """Patients left out, as it was fitted on their very slides under other names."""
    overlap_known: bool = True
    """False: the card has no hashes of patients, so nobody can tell."""
    without_vector: tuple[str, ...] = ()
    """Patients left out, as a pooling gives their tiles no weight."""
    n_tiles: int = 0
    outside: MaybeFloat = None
    """Share of all tiles outside the predictor's range of features; 0.01 where slides are like
    those that it was fitted on."""
    threshold: str = ""
    """Rule of the threshold that made calls; empty: each target's first."""
    tile_scores: str = ""
    """What the column `score` of the table of tiles means; empty: there is no such table."""


class ValidationRecord(MadeRecord):
    """`validate-<digest>/run.json` of a folder of predictions: predictions held against labels."""

    predictor: str
    prediction_run: str
    labels: str
    labels_sha256: str
    targets: tuple[str, ...]
    missing_targets: tuple[str, ...] = ()
    """Targets of the predictor that the labels do not have."""
    label_notes: tuple[str, ...] = ()
    """What reading and joining the labels noted, in words."""
    patients: int
    """With a prediction and a label."""
    predictions_only: int = 0
    labels_only: int = 0
    subgroups: tuple[str, ...] = ()
    metric: str
    """The score that decides."""
    chance: float
    median_score: MaybeFloat = None
    median_trained: MaybeFloat = None
    """Median of the cross-validated scores of the same targets."""
    one_class: tuple[str, ...] = ()
    """Targets whose labels are the same in all patients, so that they have no score."""
    without_slope: dict[str, SlopeGap] = Field(default_factory=dict)
    """Why a target has no calibration slope, by target."""
    resamples: int
    seed: int
    settings_sha256: str = ""


class ComparisonRecord(MadeRecord):
    """`compare-<digest>/run.json`: two predictors or more on the same patients."""

    predictors: tuple[str, ...]
    prediction_runs: tuple[str, ...]
    labels_sha256: str
    patients: int
    targets: tuple[str, ...]
    resamples: int
    seed: int


def list_versions() -> dict[str, str]:
    """Versions of what made a record."""
    return {"histo_ray": __version__, "python": platform.python_version()} | {
        package: version(package) for package in _PACKAGES
    }


def now_text() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
