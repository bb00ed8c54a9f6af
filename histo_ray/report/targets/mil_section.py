"""How far the members of MIL heads lie apart, in a table and in words."""

from histo_ray.evaluate.evaluation_record import MemberSummary, PatientRecord
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.report.format_numbers import format_score
from histo_ray.report.page_blocks import Block, Column, Table

_NOTE = (
    "A MIL head is the mean of its members: networks that differ by their seed and by the bags "
    "that stop them. The spread is the standard deviation between members of their {score} (mean "
    "over folds) and of their predictions of a patient: so much would change if the same analysis "
    "with one member were run again with another seed. Each member and seed stands in "
    "members.parquet."
)


def tabulate_members(record: PatientRecord, words: TaskWords, name: str) -> list[Block]:
    """Tabulate the spread between members; nothing for a run without MIL heads.

    Args:
        record: Of the run.
        words: Of its task.
        name: Of the section.
    """
    if not record.mil_members:
        return []
    columns = [
        Column("encoder", number=False),
        Column("head", number=False),
        Column("members"),
        Column(f"{words.metric_head} of one member", about="Mean over members"),
        Column("sd between members", about=f"Of the {words.score}"),
        Column("sd of a prediction", about="Between members, mean over patients"),
    ]
    rows = [_row(one) for one in record.mil_members]
    title = "Spread between the members of MIL heads"
    note = _NOTE.format(score=words.score)
    return [Table(f"{name}-members", title, columns, rows, note=note, folded=title)]


def _row(found: MemberSummary) -> list[str]:
    figures = (found.mean_score, found.score_sd, found.prediction_sd)
    return [found.encoder, found.head, str(found.members), *map(_format, figures)]


def _format(value: float | None) -> str:
    return "" if value is None else format_score(value)
