"""Patients that are not used, and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class PatientExclusion(StrEnum):
    """Why a patient is not used; the values are the words that `cohort.parquet` holds."""

    NO_SLIDES = "no slides"
    """Has a label, but no slide is in the store."""
    NO_TILES = "no tiles"
    """No slide has tiles, for any encoder."""
    NO_VECTORS = "no vectors"
    """No slide with tiles for some of the encoders, which are named."""
    NO_LABEL = "no label"
    LABELS_MISSING = "every label missing"
    NO_SITE = "no site is known"
    """Where one site after another is left out."""
    SLIDES_FAILED = "every slide failed in extraction"
    SLIDES_EMPTY = "every slide is without tiles"
    SLIDES_FAILED_OR_EMPTY = "every slide failed or is without tiles"
    SLIDES_GONE = "every slide was extracted, but its partition is gone"
    TILES_FILTERED = "no tile is kept by --where"


IN_EXTRACTION = frozenset(
    {
        PatientExclusion.SLIDES_FAILED,
        PatientExclusion.SLIDES_EMPTY,
        PatientExclusion.SLIDES_FAILED_OR_EMPTY,
        PatientExclusion.SLIDES_GONE,
        PatientExclusion.TILES_FILTERED,
    }
)
"""Reasons that only the run tables of an extraction know."""


@dataclass(frozen=True, order=True)
class Exclusion:
    """One reason why a patient is not used."""

    reason: PatientExclusion
    encoders: tuple[str, ...] = ()
    """Encoders without vectors of the patient, for `NO_VECTORS`."""

    def __str__(self) -> str:
        named = f" of {', '.join(self.encoders)}" if self.encoders else ""
        return f"{self.reason}{named}"


def describe_exclusions(exclusions: Sequence[Exclusion]) -> str:
    """All reasons of one patient in words, as the column `reason` holds them; empty: used."""
    extracted = any(one.reason in IN_EXTRACTION for one in exclusions)
    return (", " if extracted else "; ").join(map(str, exclusions))
