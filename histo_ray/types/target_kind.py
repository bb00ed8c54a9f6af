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
