"""What a task is: everything that one evaluation does differently from another.

A task is one object in a file of its own and one line of `evaluate.tasks.registry`. Files of
tasks import little, because the command line reads their settings before it does anything: what
works stands in other modules and is named with `deferred`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from histo_ray.config import Settings
from histo_ray.evaluate.evaluation_record import EvaluationRecord
from histo_ray.evaluate.jobs import Host, PreparedRun


class Chart(StrEnum):
    """A chart of a task's section in the report."""

    PAIRS = "pairs"
    """Scores of two encoders against each other, a point a target."""
    INTERVALS = "intervals"
    """Scores with their intervals."""
    ROC = "roc"
    """ROC curves of the best targets."""
    SURVIVAL = "survival"
    """Survival of halves of the patients by out-of-fold risk, and scores at times."""


@dataclass(frozen=True)
class TableColumn:
    """A column of the report's table of targets."""

    head: str
    column: str
    """Column of the evaluation's own table."""
    about: str
    """What it means, in one line."""


@dataclass(frozen=True)
class TaskWords:
    """What a task is called in reports and on a terminal, and which charts show it. Plain data."""

    title: str
    """Title of its section."""
    target: str = ""
    """Noun of one target."""
    target_in_sentence: str = ""
    """Noun of one target in a sentence."""
    score: str = ""
    """The score that decides, in a sentence."""
    metric: str = ""
    """The same on an axis."""
    metric_head: str = ""
    """The same at the head of a narrow column."""
    chance: float = 0.0
    """Score of a guess."""
    names_single: bool = False
    """Whether sentences name the target where there is one alone."""
    most_drawn: int = 15
    """Targets drawn in a chart at most; tables have all."""
    count_columns: tuple[TableColumn, ...] = ()
    """Stand before the scores."""
    other_scores: tuple[TableColumn, ...] = ()
    """Stand beside the score that decides."""
    charts: tuple[Chart, ...] = ()


class Task(ABC):
    """One kind of evaluation."""

    name: ClassVar[str]
    """The sub-command, and the folder of its runs in a store; a slug."""
    help: ClassVar[str]
    """One line of the command's help."""
    config: ClassVar[type[Settings]]
    """Settings: flags of the sub-command, keys of its run file, keywords of the Python API."""
    unused_settings: ClassVar[tuple[str, ...]] = ()
    """Fields of `config` that several tasks share, and this one has no use for."""
    refused_settings: ClassVar[tuple[str, ...]] = ()
    """Fields of `config` that this task refuses in a sentence; its help passes over them."""
    record: ClassVar[type[EvaluationRecord]]
    """What its `run.json` holds; also decides how the report draws it."""
    words: ClassVar[TaskWords]

    def check_inputs(self, config: Any) -> None:  # noqa: B027 - most tasks have nothing to check
        """See that what `config` names is there, before imports that take longer than the mistake.

        Raises:
            HistoRayError: Something is not there.
        """

    @abstractmethod
    def prepare(self, config: Any, host: Host) -> PreparedRun:
        """Read inputs, draw folds, and lay out the units of work.

        Args:
            config: Of the type `config`.
            host: Where the work is done, and who is told of it.

        Raises:
            HistoRayError: The run cannot start.
        """
