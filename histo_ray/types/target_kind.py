"""What the values of a prediction target are. No I/O."""

from enum import StrEnum


class TargetKind(StrEnum):
    """What the values of a target are; decides how it is prepared, stratified and scored."""

    CONTINUOUS = "continuous"
    """Numbers on a scale, as the expression of a gene."""
    BINARY = "binary"
    """Two classes, 0 and 1, as whether a gene is mutated."""
    MULTICLASS = "multiclass"
    """Three or more classes without an order, numbered from 0."""
    ORDINAL = "ordinal"
    """Classes with an order, numbered from 0 for the lowest, as the grade of a tumour."""
    SURVIVAL = "survival"
    """Times until an event or the end of follow-up, as signed times (`types.signed_times`)."""

    @property
    def has_positives(self) -> bool:
        """Whether a value above 0 is a positive: of a class, or with an event."""
        return self in (TargetKind.BINARY, TargetKind.SURVIVAL)


OUTPUT_KINDS = {
    TargetKind.MULTICLASS: TargetKind.BINARY,
    TargetKind.ORDINAL: TargetKind.BINARY,
}
"""Kind of the outputs that a target is coded as for heads; where there is none, it is its own."""
