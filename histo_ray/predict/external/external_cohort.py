"""Predictions beside what is true of the patients: what an external validation is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.cohort.join import Cohort, join_cohort
from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.labels.group_columns import read_group_columns
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.learn.external.external_metrics import TargetSample
from histo_ray.predict.card import PredictorCard, TargetCard
from histo_ray.predict.external.applied import AppliedPredictor
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.text import count_of, name_some
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]

SITE = "site"
"""Column of groups that comes from the manifest, or from TCGA barcodes."""


@dataclass(frozen=True)
class ExternalCohort:
    """Patients with a prediction and a label, and what both say."""

    patients: tuple[str, ...]
    """(P,)."""
    targets: tuple[str, ...]
    """(T,) those of the predictor that the labels have."""
    truth: Floats
    """(P, T) labels on the scale that heads were trained on; nan: no label."""
    raw: Floats
    """(P, T), by which patients are ranked; classes of one column fit each other, as they do in the
    cross-validated scores that stand beside."""
    calibrated: Floats
    """(P, T)."""
    called: Floats
    """(P, T) 0 or 1; nan: no threshold."""
    groups: Mapping[str, tuple[str, ...]]
    """(P,) group of each patient by column; empty: in none."""
    at: tuple[float, ...] = ()
    """(T,) of survival: time by which `calibrated` is the probability of an event."""

    def sample(self, target: int, rows: npt.NDArray[np.bool_] | None = None) -> TargetSample:
        """Take the patients with a label of one target, among some rows."""
        kept = ~np.isnan(self.truth[:, target])
        if rows is not None:
            kept &= rows
        called = self.called[kept, target]
        return TargetSample(
            self.truth[kept, target],
            self.raw[kept, target],
            self.calibrated[kept, target],
            None if np.isnan(called).any() else called > 0,
            self.at[target] if self.at else float("nan"),
        )


@dataclass(frozen=True)
class JoinedLabels:
    """An external cohort, and where it came from."""

    cohort: ExternalCohort
    labels: LabelTable
    joined: Cohort
    missing: tuple[str, ...]
    """Targets of the predictor that the labels do not have."""
    notes: tuple[str, ...]
    """What reading and joining noted."""
    caveats: tuple[str, ...]
    """Warnings that belong to every score."""


def join_labels(applied: AppliedPredictor, config: PredictConfig) -> JoinedLabels:
    """Read the labels as the predictor's own were read, and join them with its predictions.

    Args:
        applied: Predictions of patients.
        config: Where the labels are.

    Raises:
        ConfigError: Labels cannot be read, lack all targets, or have no patient in common; or the
            predictor predicts no patients.
    """
    card = applied.run.predictor.card
    task = TASKS[card.task]
    if not isinstance(task, PatientTask):
        raise ConfigError(
            f"--labels: predictor {card.name} says the class of tiles, and labels are of patients; "
            "leave --labels out, and read the shares of classes in its tables"
        )
    groups = applied.run.groups
    settings = _make_settings(task, card, config)
    classes = {target.column: target.classes for target in card.targets if target.column}
    labels = task.read_truth(settings, set(groups), card.kind, classes)
    table = applied.folder.read("patients")
    predicted = list(dict.fromkeys(table["patient_id"].to_pylist()))
    counts = {patient: len(groups[patient]) for patient in predicted}
    joined = join_cohort(
        {applied.run.slides.encoder: predicted}, counts, applied.run.slides.sites(), labels
    )
    columns = read_group_columns(settings, config.subgroup, set(groups))
    by_column = {
        SITE: tuple(sites[0] if len(sites) == 1 else "" for sites in joined.sites),
        **{one.name: tuple(map(one.group_of, joined.patients)) for one in columns},
    }
    missing = tuple(name for name in card.target_names if name not in labels.targets)
    notes = [*labels.notes, *joined.notes]
    notes += [note for column in columns for note in column.notes]
    notes += _note_unit(card)
    caveats = list(labels.caveats)
    if missing:
        caveats.append(
            f"{count_of(len(missing), 'target')} of the predictor not in the labels: "
            f"{name_some(missing)}"
        )
    cohort = _gather(applied, table, joined, by_column)
    return JoinedLabels(cohort, labels, joined, missing, tuple(notes), tuple(caveats))


def _note_unit(card: PredictorCard) -> Iterator[str]:
    """Name the unit that times of labels must have: that of the predictor's calibration."""
    if card.kind == TargetKind.SURVIVAL.value:
        unit = str(card.settings.get("time_unit") or "the unit of its own, which was not stated")
        yield (
            f"times of the labels are taken to be in {unit}, as those that {card.name} was fitted "
            "on; in another unit its calibration and Brier scores mean nothing: convert them"
        )


def _make_settings(task: PatientTask, card: PredictorCard, config: PredictConfig) -> LabelSettings:
    """Settings of the labels: the predictor's own, but for where these are and what is read."""
    kind = task.config
    own = {name: value for name, value in card.settings.items() if name in kind.model_fields}
    given: dict[str, object] = {
        "store": config.store,
        "encoder": [card.encoder.name],
        "labels": config.labels,
        "labels_layout": config.labels_layout,
        "id_column": config.id_column,
        "sequenced": config.sequenced,
        "genes": "".join(f"{name}\n" for name in card.target_names),
    }
    if config.endpoint:
        given |= {"endpoint": config.endpoint, "time": None, "event": None}
    usable = {
        name: value
        for name, value in given.items()
        if name in kind.model_fields and name not in task.unused_settings
    }
    settings = parse_settings(kind, {**own, **usable}, "--labels")
    assert isinstance(settings, LabelSettings)  # noqa: S101 - as those of all tasks of patients
    return settings


def _gather(
    applied: AppliedPredictor,
    table: pa.Table,
    joined: Cohort,
    groups: Mapping[str, tuple[str, ...]],
) -> ExternalCohort:
    """Bring predictions and labels to the same patients and targets."""
    predictor = applied.run.predictor
    names = predictor.card.target_names
    frame = table.to_pandas().set_index(["patient_id", "target"])
    labels = joined.labels
    place = {name: at for at, name in enumerate(labels.targets)}
    values = np.full((len(joined.patients), len(names)), np.nan)
    for column, name in enumerate(names):
        if name in place:
            values[:, column] = labels.values[:, place[name]]
    truth = predictor.parts.label_scale.to_scale(values)
    kept = [at for at, name in enumerate(names) if name in place]

    def pivot(column: str) -> Floats:
        wide = frame[column].unstack("target")
        return np.asarray(wide.loc[list(joined.patients), list(names)].to_numpy(), np.float64)

    frame["call"] = frame["call"].map({"positive": 1.0, "negative": 0.0}).astype(np.float64)
    return ExternalCohort(
        joined.patients,
        tuple(names[at] for at in kept),
        truth[:, kept],
        predictor.settle(pivot("raw"))[:, kept],
        pivot("calibrated")[:, kept],
        pivot("call")[:, kept],
        groups,
        tuple(_time_of(predictor.card.targets[at]) for at in kept),
    )


def _time_of(target: TargetCard) -> float:
    """Time that a target's calibration is for; nan where it has none."""
    return target.calibration.at if target.calibration.times else float("nan")
