"""The record of an evaluation, `run.json`: written and read by the same models.

Keys that a model does not know are left alone, and those that are missing take their default, so
that records of older versions stay readable. Version 1 (histo_ray 0.1 and 0.2) had no
`record_version`, and sentences (`warnings`) where there are caveats now.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, JsonValue, model_validator

from histo_ray.evaluate.caveats import Caveat, CaveatCode
from histo_ray.evaluate.patients.confounder_record import (
    AddedValue,
    CovariatesRecord,
    HarmoniseRecord,
    LeftOutSite,
)
from histo_ray.evaluate.patients.review_record import ReviewRecord
from histo_ray.evaluate.record_part import BootstrapRecord
from histo_ray.evaluate.record_part import MaybeFloat as MaybeFloat
from histo_ray.evaluate.record_part import RecordPart as RecordPart
from histo_ray.evaluate.summary_record import EncoderSummary as EncoderSummary
from histo_ray.evaluate.summary_record import EndpointRecord as EndpointRecord
from histo_ray.evaluate.summary_record import PairSummary as PairSummary
from histo_ray.evaluate.summary_record import ShownScore as ShownScore
from histo_ray.evaluate.summary_record import ShownTarget as ShownTarget
from histo_ray.evaluate.tiles.groups_record import GroupsRecord
from histo_ray.evaluate.where_record import WhereRecord

RECORD_VERSION = 2
"""2: caveats are codes with values, and sentences are rendered where they are shown."""
OLDEST = datetime.min.replace(tzinfo=UTC)
"""When a run was made that does not say when."""
_SYNTHETIC = "SYNTHETIC"
"""Word by which version 1 marked evaluations of synthetic data, in its warnings and remark."""


class FoldsRecord(RecordPart):
    """How rows were split."""

    n_folds: int
    repeats: int
    seeds: tuple[int, ...] = ()
    sha256: str = ""
    kept_together: str = ""
    """What no two folds share: patient or site; empty for tiles."""


class TestsRecord(RecordPart):
    """What tests over folds rest on; ranges are (smallest, largest)."""

    __test__ = False

    distinct_splits: tuple[int, ...] = ()
    independent_units: tuple[int, ...] = ()
    units_are: str = ""
    degrees_of_freedom: tuple[float, ...] = ()
    """Empty where no test is possible."""
    units_of_classes: tuple[int, ...] = ()
    """Tissue: independent units of each class."""
    groups: int = 0
    """Patients: groups that are kept whole."""
    targets_without_test: int = 0


class EvaluationRecord(RecordPart):
    """What every evaluation records."""

    record_version: int = 1
    task: str
    run_id: str = ""
    created_at: str = ""
    seconds: float = 0.0
    remark: str = ""
    synthetic: bool = False
    """Whether synthetic data were evaluated, as far as tables and manifests mark them."""
    folds: FoldsRecord
    statistics_version: int = 1
    """2 and above: tests over folds know how few the independent units are. 3 and above: intervals
    of differences are those of the tests, and those of scores know that patients also train."""
    tests: TestsRecord | None = None
    """None: a run from before they were recorded."""
    caveats: tuple[Caveat, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    where: WhereRecord | None = None
    """Condition on the tiles that were used; None: all were."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, given: Any) -> Any:
        """Take warnings of version 1 for caveats, and look for its mark of synthetic data."""
        if not isinstance(given, Mapping) or "record_version" in given:
            return given
        texts = given.get("warnings")
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            texts = ()
        stated = [*texts, given.get("remark")]
        marked = any(isinstance(text, str) and _SYNTHETIC in text for text in stated)
        caveats = [{"code": CaveatCode.TEXT, "values": {"text": text}} for text in texts]
        return {"caveats": caveats, "synthetic": marked, **given}

    @property
    def created(self) -> datetime:
        """When it was made; the beginning of time if that is not recorded."""
        try:
            found = datetime.fromisoformat(self.created_at)
        except ValueError:
            return OLDEST
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class TileSetRecord(RecordPart):
    """Labelled tiles."""

    name: str
    sha256: str = ""
    classes: dict[str, int] = Field(default_factory=dict)
    tiles: int


class TileEncoderRecord(RecordPart):
    """An encoder's embeddings of one tile set."""

    vectors_sha256: str = ""
    weights_sha256: str = ""
    request: str = ""


class TileScoresRecord(RecordPart):
    """Scores of one encoder on one split."""

    accuracy: float
    accuracy_low: MaybeFloat = None
    """Lower end of its 95 % interval; None: too few independent units, or a run before 0.5.0."""
    accuracy_high: MaybeFloat = None
    balanced_accuracy: float
    balanced_low: MaybeFloat = None
    balanced_high: MaybeFloat = None
    recalls: tuple[MaybeFloat, ...]
    confusion: tuple[tuple[int, ...], ...]
    """(K, K) over all repeats; true class by predicted class."""


class TileComparisonRecord(RecordPart):
    """One pair of encoders on one split by one score: a row of `tissue_comparisons`."""

    split: str
    encoder_a: str
    encoder_b: str
    metric: str
    label: str = ""
    difference: MaybeFloat = None
    low: MaybeFloat = None
    high: MaybeFloat = None
    drawn: str = "tile"
    p_corrected: MaybeFloat = None
    q_corrected: MaybeFloat = None
    t_low: MaybeFloat = None
    t_high: MaybeFloat = None
    p_plain: MaybeFloat = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the difference: in cross-validation that of the test, of old runs too.

        `low` and `high` of runs before 0.5.0 are those of a bootstrap, which could contradict P.
        """
        ends = (self.low, self.high) if self.split == "test" else (self.t_low, self.t_high)
        return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


class TissueRecord(EvaluationRecord):
    """An evaluation on labelled tiles."""

    evaluation_version: int = 1
    head: str = ""
    inner_parts: int = 1
    bootstrap: BootstrapRecord = BootstrapRecord()
    sets: dict[str, TileSetRecord]
    encoders: dict[str, dict[str, TileEncoderRecord]]
    classes: tuple[str, ...]
    summary: dict[str, dict[str, TileScoresRecord]]
    """By split, then encoder; the baseline is among the encoders here."""
    groups: GroupsRecord = GroupsRecord()
    test_groups: GroupsRecord = GroupsRecord()
    random_folds: FoldsRecord | None = None
    """Folds that split inferred groups: of the split `random`, beside the grouped ones of `cv`."""
    baseline: str = ""
    """Name of the row that sees colour alone; empty: a run from before there was one."""
    baseline_version: int = 0
    colour_auroc: dict[str, dict[str, MaybeFloat]] = Field(default_factory=dict)
    """How well colour tells test from training part within a class, by split and class."""
    comparisons: tuple[TileComparisonRecord, ...] = ()


class DroppedTarget(RecordPart):
    """A target that was not evaluated."""

    target: str = ""
    reason: str = ""


class LabelsRecord(RecordPart):
    """The label table."""

    path: str = ""
    sha256: str = ""
    values_sha256: str = ""
    names_sha256: str = ""
    patients: int = 0
    targets: int = 0
    transform: str = ""
    variant_classes: tuple[str, ...] = ()
    dropped: tuple[DroppedTarget, ...] = ()
    notes: tuple[str, ...] = ()


class CohortRecord(RecordPart):
    """Patients that are evaluated, and where the others were lost."""

    slides: int = 0
    """With a receipt, with tiles or without."""
    slides_failed: int | None = None
    """Slides of the manifest without a receipt; None: a run from before they were counted."""
    slides_without_tiles: int = 0
    slides_filtered: int = 0
    """With tiles, none of which the condition of the run keeps."""
    slides_used: int = 0
    patients_lost: int = 0
    """Without a single slide with tiles."""
    patients_with_features: int = 0
    patients_with_labels: int = 0
    patients_used: int = 0
    features_only: int = 0
    labels_only: int = 0
    lost: dict[str, int] = Field(default_factory=dict)
    """Patients that one encoder lacks, by encoder."""
    notes: tuple[str, ...] = ()


class SlideEncoderRecord(RecordPart):
    """An encoder's embeddings of the slides."""

    request: str = ""
    weights_sha256: str = ""
    dim: int = 0
    tiling: str = ""
    partitions: int = 0
    snapshot_sha256: str = ""


class ConfigurationRecord(RecordPart):
    """One way from tiles to predictions."""

    encoder: str
    pooling: str = ""
    head: str = ""
    variant: str = ""


class MemberSummary(RecordPart):
    """How far the members of a MIL head lie apart; the table `members` has each."""

    encoder: str
    head: str
    """With its settings, where several compete."""
    kind: str = ""
    """Kind of the targets."""
    members: int
    mean_score: MaybeFloat = None
    """Score of one member alone, mean over members, targets, repeats and folds."""
    score_sd: MaybeFloat = None
    """Standard deviation of that between members, mean over targets and repeats; None: one."""
    prediction_sd: MaybeFloat = None
    """Standard deviation between their predictions of a patient, mean over all."""


class PatientRecord(EvaluationRecord):
    """An evaluation on patients."""

    outcome_version: int = 1
    labels: LabelsRecord = LabelsRecord()
    cohort: CohortRecord = CohortRecord()
    encoders: dict[str, SlideEncoderRecord]
    features: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the pooled features, by encoder and pooling."""
    slides_sha256: str = ""
    manifest_sha256: str = ""
    """SHA-256 of what the newest manifest states otherwise than the extraction; empty: nothing."""
    variant_classes: str = ""
    """SHA-256 of the classes of calls, where they are not the default ones."""
    covariates: CovariatesRecord | None = None
    harmonise: HarmoniseRecord | None = None
    leave_out: str = "fold"
    """`site`: every site is tested once, by heads of all other sites."""
    inner_choice: int = 1
    """2: ridge chose on the inner folds that all heads share; 1: by leaving out one patient at a
    time, as where it is alone and each patient is on their own."""
    penalty_by: str = "inner-folds"
    """By what logistic heads chose their penalty: `inner-folds`, or `alo`."""
    configurations: tuple[ConfigurationRecord, ...] = ()
    mil: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    mil_members: tuple[MemberSummary, ...] = ()
    """Empty: no MIL heads, or a run from before their members were kept."""
    bag_tiles: tuple[int, ...] = ()
    permutations: int = 0
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    chance_test: str = ""
    """Test of whether a target is predicted better than chance."""
    summary: dict[str, EncoderSummary] = Field(default_factory=dict)
    pairs: tuple[PairSummary, ...] = ()
    shown: tuple[ShownTarget, ...] = ()
    added_value: tuple[AddedValue, ...] = ()
    """Empty without covariates."""
    left_out_sites: tuple[LeftOutSite, ...] = ()
    """Empty unless `leave_out` is `site`."""
    subgroups_sha256: str = ""
    """SHA-256 of the groups that were asked for; empty: none were."""
    site_check: bool = True
    """Whether it was seen how well encoders tell the site."""
    review: ReviewRecord = ReviewRecord()
    """Scores by site and subgroup, what sites tell, and calibration, in short."""
