"""What an evaluation records of covariates, harmonised features and sites that were left out."""

from pydantic import Field

from histo_ray.evaluate.record_part import MaybeFloat, RecordPart


class CovariatesRecord(RecordPart):
    """What is known of patients beside their slides."""

    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """What heads are given: a column a number, and one a value of a text."""
    sha256: str = ""
    """SHA-256 of the values of the patients that are used."""


class HarmoniseRecord(RecordPart):
    """How features of sites were made alike, inside training parts."""

    method: str
    sites_sha256: str = ""


class AddedValue(RecordPart):
    """What images of one encoder add to covariates, over all targets."""

    encoder: str
    metric: str = ""
    targets: int = 0
    tested: int = 0
    significant: tuple[str, ...] = ()
    """Targets with q < 0.05."""
    covariates: MaybeFloat = None
    """Mean score of covariates alone."""
    both: MaybeFloat = None
    """Mean score of images and covariates."""
    difference: MaybeFloat = None
    """Mean of `both` less `covariates`."""
    partial: MaybeFloat = None
    """Mean correlation of what images add with what covariates leave."""


class LeftOutSite(RecordPart):
    """A site whose patients were predicted by heads of all other sites."""

    site: str
    patients: int = 0
    """Most that have a label of one target."""
    scored: int = 0
    """Targets that have a score at this site; of the encoder with most of them."""
    mean_scores: dict[str, MaybeFloat] = Field(default_factory=dict)
    """Mean over those targets, by encoder; None without any."""
