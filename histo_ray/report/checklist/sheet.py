"""A checklist that is filled in: what is known of each item, and what is asked. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from histo_ray.report.checklist.tripod_items import (
    DEVELOPMENT,
    EVALUATION,
    ITEMS,
    ChecklistItem,
)

Facts = Mapping[str, Sequence[str]]
"""Sentences by number of an item."""


class ItemState(StrEnum):
    """How far an item is filled in; the words of the sheet."""

    FILLED = "filled"
    PARTLY = "in part"
    GAP = "to fill in"
    NOT_APPLICABLE = "does not apply"


@dataclass(frozen=True)
class Study:
    """What a store knows of one evaluation or external validation."""

    name: str
    """What it is about."""
    run_id: str
    applies: str
    """`D`: a development, `E`: an evaluation on other patients."""
    facts: Facts


@dataclass(frozen=True)
class Row:
    """One item of the sheet."""

    item: ChecklistItem
    state: ItemState
    facts: tuple[str, ...]
    question: str
    """What is left to people; empty: nothing."""


@dataclass(frozen=True)
class Sheet:
    """A filled-in checklist."""

    title: str
    studies: tuple[str, ...]
    rows: tuple[Row, ...]
    synthetic: bool = False

    def count(self, state: ItemState) -> int:
        """Count the items of a state."""
        return sum(row.state is state for row in self.rows)


def fill_sheet(title: str, studies: Sequence[Study], synthetic: bool = False) -> Sheet:
    """Fill in TRIPOD+AI.

    Args:
        title: Of the sheet.
        studies: What is known; facts of several stand below each other, each after its name.
        synthetic: Whether some of it is about synthetic data.
    """
    names = [study.name for study in studies]
    labels = [s.name if names.count(s.name) == 1 else f"{s.name}, {s.run_id}" for s in studies]
    labelled = dict(zip(labels, studies, strict=True))
    rows = tuple(_fill(item, labelled) for item in ITEMS)
    return Sheet(title, tuple(f"{s.name} ({s.run_id})" for s in studies), rows, synthetic)


def _fill(item: ChecklistItem, studies: Mapping[str, Study]) -> Row:
    kinds = {study.applies for study in studies.values()}
    if item.applies in (DEVELOPMENT, EVALUATION) and item.applies not in kinds:
        why = {
            EVALUATION: "Nothing here was evaluated on patients of another cohort.",
            DEVELOPMENT: "Nothing here was developed: the sheet of the predictor's own cohort "
            "says it.",
        }
        return Row(item, ItemState.NOT_APPLICABLE, (why[item.applies],), "")
    concerned = {name: one for name, one in studies.items() if one.applies in item.applies}
    own = {name: list(one.facts.get(item.number, ())) for name, one in concerned.items()}
    first = next(iter(own.values()))
    shared = [fact for fact in first if all(fact in some for some in own.values())]
    of_all = len(concerned) == len(studies)  # else it is said whose they are
    facts = [
        f"{name}: {fact}"
        for name, some in own.items()
        for fact in some
        if not (of_all and fact in shared)
    ]
    if of_all:
        facts = [*shared, *facts]
    if not facts:
        question = item.question or "Nothing is recorded of it: what was done?"
        return Row(item, ItemState.GAP, (), question)
    state = ItemState.PARTLY if item.question else ItemState.FILLED
    return Row(item, state, tuple(facts), item.question)
