"""The record of an evaluation of columns of labels."""

from pydantic import Field

from histo_ray.evaluate.evaluation_record import (
    DroppedTarget,
    EncoderSummary,
    PairSummary,
    PatientRecord,
    RecordPart,
    ShownTarget,
)


class LabelColumnRecord(RecordPart):
    """One column of labels."""

    name: str
    kind: str
    classes: tuple[str, ...] = ()
    """Negative and positive, or lowest first where they have an order; empty of numbers."""
    counts: tuple[int, ...] = ()
    """Patients of each class; of numbers those with one."""
    rule: str = ""
    """How kind and classes were found."""


class LabelPartRecord(RecordPart):
    """What columns of one kind come to."""

    targets: int
    summary: dict[str, EncoderSummary] = Field(default_factory=dict)
    pairs: tuple[PairSummary, ...] = ()
    shown: tuple[ShownTarget, ...] = ()
    dropped: tuple[DroppedTarget, ...] = ()


class LabelRecord(PatientRecord):
    """An evaluation of columns of labels."""

    columns: tuple[LabelColumnRecord, ...] = ()
    parts: dict[str, LabelPartRecord] = Field(default_factory=dict)
    """By kind. The summary of all is without means where there are several kinds, as their scores
    are none of one scale."""

    def take_part(self, kind: str) -> "LabelRecord":
        """Take the record of the columns of one kind."""
        part = self.parts[kind]
        return self.model_copy(
            update={
                "labels": self.labels.model_copy(
                    update={"targets": part.targets, "dropped": part.dropped}
                ),
                "columns": tuple(column for column in self.columns if column.kind == kind),
                "parts": {kind: part},
                "mil_members": tuple(one for one in self.mil_members if one.kind == kind),
                "summary": part.summary,
                "pairs": part.pairs,
                "shown": part.shown,
            }
        )
