"""What an evaluation records of the tables that reviewers ask for."""

from pydantic import Field

from histo_ray.evaluate.record_part import MaybeFloat, RecordPart


class GroupRecord(RecordPart):
    """One group of patients."""

    group: str
    n_patients: int = 0
    score: MaybeFloat = None


class GroupsRecord(RecordPart):
    """Scores of one encoder by the groups of one column; of several targets their mean."""

    column: str
    encoder: str
    groups: int
    scored: int
    """Those with enough patients for a score."""
    compared: int | None = None
    """Those of them with a score of every target that any of them has one of, among which lowest
    and highest are; None: all that are scored, as before 0.5 or with one target."""
    lowest: GroupRecord | None = None
    highest: GroupRecord | None = None


class SiteRecord(RecordPart):
    """How well one encoder tells the site of a patient."""

    sites: int
    patients: int
    auroc: MaybeFloat = None
    low: MaybeFloat = None
    high: MaybeFloat = None
    balanced_accuracy: MaybeFloat = None
    chance: MaybeFloat = None
    """Balanced accuracy of a guess."""


class SiteMeanRecord(RecordPart):
    """The target that the site alone predicts best."""

    target: str
    score: MaybeFloat = None
    low: MaybeFloat = None
    high: MaybeFloat = None


class CalibrationRecord(RecordPart):
    """Medians over targets of one encoder's out-of-fold probabilities."""

    slope: MaybeFloat = None
    brier_skill: MaybeFloat = None


class ReviewRecord(RecordPart):
    """What the tables of `evaluate/patients/review_tables.py` come to."""

    groups: tuple[GroupsRecord, ...] = ()
    sites: dict[str, SiteRecord] = Field(default_factory=dict)
    """By encoder; empty: there are too few, or it was switched off."""
    site_means: SiteMeanRecord | None = None
    calibration: dict[str, CalibrationRecord] = Field(default_factory=dict)
    """By encoder; empty: targets are numbers."""
