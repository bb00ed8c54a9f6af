"""The survival task: times until an event, endpoint by endpoint."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from histo_ray.deferred import deferred
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.jobs import PreparedRun
from histo_ray.evaluate.patients.patient_settings import OF_MANIFEST, PatientConfig
from histo_ray.evaluate.tasks.base import Chart, TableColumn, TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask, Values
from histo_ray.labels.endpoints import Endpoint, parse_endpoints
from histo_ray.learn.heads.registry import TrainsOn, check_head, head_names
from histo_ray.types import TargetKind

if TYPE_CHECKING:
    from histo_ray.cohort.patient_folds import OutcomeFolds
    from histo_ray.labels.label_table import LabelTable
    from histo_ray.store.tables import TableFolder

FEW_EVENTS = 50
"""Fewer events than this are called few: a fold of five then tests on some ten."""
TRIED_ENDPOINTS = 20
"""Endpoints, fewest events first, whose folds are drawn to see whether a setting works."""
_KIND = TargetKind.SURVIVAL
_read_survival = deferred("histo_ray.evaluate.columns.label_inputs:read_endpoints")
_draw_event_folds = deferred("histo_ray.cohort.survival_folds:draw_event_folds")
_write_survival = deferred("histo_ray.evaluate.patients.survival_tables:write_survival_tables")
_describe_follow_up = deferred("histo_ray.learn.targets.follow_up:describe_follow_up")


class SurvivalConfig(PatientConfig):
    """Times until an event, endpoint by endpoint."""

    labels: str = Field(default="", description=OF_MANIFEST)
    head: tuple[str, ...] = Field(
        default=("cox",),
        description="trained on patients; repeat it: the best by inner folds is taken: "
        + ", ".join(head_names(TrainsOn.PATIENTS, kind=_KIND)),
    )
    time: str | None = Field(
        default=None, description="column of --labels with times until the event or last seen"
    )
    event: str | None = Field(
        default=None,
        description="column of --labels that says whether the time ended in an event: 1/0, "
        "true/false, dead/alive, 1:DECEASED/0:LIVING",
    )
    endpoint: tuple[str, ...] = Field(
        default=(),
        description="NAME=TIME,EVENT: an endpoint and its two columns; repeat it for several",
    )
    event_value: tuple[str, ...] = Field(
        default=(),
        description="cell of the event column that is an event, where it has words of its own; all "
        "others are censored then; repeat it",
    )
    time_unit: str = Field(
        default="",
        description="of the times, as in days or months; printed beside them, never guessed",
    )
    times: tuple[float, ...] = Field(
        default=(),
        description="at which AUC and Brier score are given, in the unit of the times; repeat it "
        "(default: quartiles of the times of events)",
    )
    max_missing: float = Field(
        default=0.95,
        ge=0,
        lt=1,
        description="endpoints with a larger share of patients without a time are left out",
    )

    @field_validator("head")
    @classmethod
    def _heads_of_patients(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_head(name, TrainsOn.PATIENTS, kind=_KIND) for name in names)

    @field_validator("times")
    @classmethod
    def _rising_times(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < time < float("inf") for time in times):
            raise ValueError(f"{list(times)}: must be finite numbers above 0")
        return tuple(sorted(set(times)))

    @model_validator(mode="after")
    def _some_endpoint(self) -> Self:
        parse_endpoints(self.endpoint, self.time, self.event)
        return self

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Endpoints that are asked for."""
        return parse_endpoints(self.endpoint, self.time, self.event)


class SurvivalTask(PatientTask):
    """Which encoder predicts survival best."""

    name = "survival"
    help = "which encoder predicts survival best: Cox regression on patients' vectors"
    config = SurvivalConfig
    unused_settings = ("genes", "sequenced", "variant_classes", "transform", "clip_at")
    refused_settings = ("covariate", "covariate_file", "harmonise")
    kind = _KIND
    takes_harmonise = False
    deciding = ("time_unit", "times")
    words = TaskWords(
        title="Survival",
        target="endpoint",
        target_in_sentence="endpoint",
        score="C-index",
        metric="C-index (Harrell)",
        metric_head="C",
        chance=0.5,
        most_drawn=40,
        count_columns=(
            TableColumn("patients", "n_patients", "With a time"),
            TableColumn("events", "positives", "With an event"),
        ),
        other_scores=(
            TableColumn(
                "Uno's C",
                "c_uno",
                "C-index as if nobody were censored before a tenth is left under observation",
            ),
        ),
        charts=(Chart.PAIRS, Chart.INTERVALS, Chart.SURVIVAL),
    )

    def read_labels(self, config: SurvivalConfig, known: set[str]) -> "LabelTable":
        """Read columns of times and events."""
        labels: LabelTable = _read_survival(config, known)
        return labels

    def draw_folds(
        self,
        values: Values,
        targets: Sequence[str],
        n_folds: int,
        repeats: int,
        seed: int,
        groups: Sequence[str],
    ) -> "OutcomeFolds":
        """Draw folds of each endpoint's own, stratified by event."""
        folds: OutcomeFolds = _draw_event_folds(values, targets, n_folds, repeats, seed, groups)
        return folds

    def try_folds(
        self, labels: "LabelTable", n_folds: int, seed: int, groups: Sequence[str]
    ) -> None:
        """See whether folds of the rarest events can be drawn."""
        rarest = np.argsort((labels.values > 0).sum(0), kind="stable")[:TRIED_ENDPOINTS]
        names = [labels.targets[int(at)] for at in rarest]
        self.draw_folds(labels.values[:, rarest], names, n_folds, 1, seed, groups)

    def find_caveats(
        self, config: SurvivalConfig, targets: Sequence[str], values: Values
    ) -> Iterator[Caveat]:
        """Name endpoints with few events, say how long patients were followed."""
        events = (values > 0).sum(0)
        few = tuple(
            f"{name} {int(number)}"
            for name, number in zip(targets, events, strict=True)
            if number < FEW_EVENTS
        )
        if few:
            yield caveat(CaveatCode.FEW_EVENTS, endpoints=few)
        medians, beyond = _describe_follow_up(targets, values, config.times)
        yield caveat(CaveatCode.FOLLOW_UP, medians=medians, beyond=beyond, unit=config.time_unit)

    def write_more(self, prepared: PreparedRun, pieces: "TableFolder") -> None:
        """Write scores at times, and survival of halves by out-of-fold risk."""
        _write_survival(prepared, pieces)


TASK = SurvivalTask()
