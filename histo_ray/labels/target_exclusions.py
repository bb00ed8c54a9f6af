"""Targets that are left out, and why. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class TargetExclusion(StrEnum):
    """Why a target is left out; the values are the words that `run.json` holds."""

    ABSENT = "not in the table"
    ROW_NUMBERS = "row numbers"
    CLINICAL = "clinical"
    COUNTER = "a summary of reads"
    UNNAMED = "no symbol"
    DATE = "a date, as spreadsheets make of gene names"
    WORDS = "words"
    """Its cells hold words; the detail quotes one."""
    NO_CALL = "no such call"
    """No call of a MAF counts as a mutation of it."""
    NO_VALUE = "no value"
    TOO_MANY_MISSING = "too many values missing"
    """The detail states the share."""
    NO_VARIANCE = "no variance"
    TOO_FEW_DISTINCT = "too few values off the commonest one"
    """The detail states how many, and how many folds need."""
    TOO_FEW_POSITIVES = "too few positives"
    TOO_FEW_NEGATIVES = "too few negatives"
    NO_EVENTS = "no event: all patients are censored"
    TOO_FEW_EVENTS = "too few events"
    """The detail states how many, and how many folds need."""
    TOO_FEW_CLASSES = "fewer than two classes"
    """The detail states how many patients of a class folds need."""


_NO_GENES = (
    TargetExclusion.ROW_NUMBERS,
    TargetExclusion.CLINICAL,
    TargetExclusion.COUNTER,
    TargetExclusion.UNNAMED,
    TargetExclusion.DATE,
    TargetExclusion.WORDS,
)
"""Reasons of names that were no genes to begin with."""


def says_no_gene(reason: str) -> bool:
    """Whether a reason of `run.json` is that of a name that is no gene.

    Args:
        reason: `ExcludedTarget.text`: the words of the enum, which a detail of it begins with.
    """
    return reason.startswith(_NO_GENES)


@dataclass(frozen=True)
class ExcludedTarget:
    """A target that was left out."""

    target: str
    reason: TargetExclusion
    detail: str = ""
    """The reason with its numbers, in words; empty where the reason's own words say all."""

    @property
    def text(self) -> str:
        """The reason in words, for messages and `run.json`."""
        return self.detail or self.reason.value
