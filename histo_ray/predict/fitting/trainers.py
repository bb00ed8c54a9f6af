"""What is trained on all rows for each kind of evaluation: one line a kind, found by settings.

Little is imported here: the command line reads it before it does anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from histo_ray.config import Settings
from histo_ray.deferred import deferred
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.predict.fitting.fit_settings import FitOptions, PatientFitOptions

if TYPE_CHECKING:
    from histo_ray.predict.card import (
        ClassEncoderCard,
        EncoderCard,
        EvaluationCard,
        LabelsCard,
        PartCard,
        PredictedKind,
        SlideEncoderNeed,
        TargetCard,
        TilingCard,
    )
    from histo_ray.predict.predictor import PredictorParts
    from histo_ray.types import Receipt


@dataclass(frozen=True)
class Trained:
    """What a trainer made: the arrays, and its part of the card."""

    parts: "PredictorParts"
    part_cards: tuple["PartCard", ...]
    """In the order of the linear parts, then the bag parts."""
    kind: "PredictedKind"
    targets: tuple["TargetCard", ...]
    encoder: "EncoderCard"
    tiling: "TilingCard"
    class_encoder: "ClassEncoderCard | None"
    labels: "LabelsCard"
    evaluation: "EvaluationCard"
    patients: tuple[str, ...]
    """Ids of those that were trained on; empty where they are unknown."""
    n_slides: int
    sites: tuple[str, ...]
    receipts: tuple["Receipt", ...] = ()
    """Receipts of the slides whose patients were trained on; empty for labelled tiles."""
    slide_encoders: tuple["SlideEncoderNeed", ...] = ()
    """Slide encoders of its poolings."""


class Trainer(NamedTuple):
    """How one kind of evaluation becomes a predictor."""

    config: type[Settings]
    """Tasks whose settings are these, or made of these."""
    options: type[FitOptions]
    check: Callable[[Settings], None]
    """(settings of the evaluation): refuse what cannot be kept, before anything is read."""
    check_encoder: Callable[..., None]
    """(prepared run): refuse an encoder that a card cannot name, before anything is evaluated."""
    train: Callable[..., Trained]
    """(prepared run, evaluation, options, host) -> Trained."""


TRAINERS = (
    Trainer(
        PatientConfig,
        PatientFitOptions,
        deferred("histo_ray.predict.fitting.train_patients:check_heads"),
        deferred("histo_ray.predict.fitting.train_patients:check_weights"),
        deferred("histo_ray.predict.fitting.train_patients:train_patients"),
    ),
    Trainer(
        TissueConfig,
        FitOptions,
        deferred("histo_ray.predict.fitting.train_tiles:check_head"),
        lambda prepared: None,  # tile sets are encoded here, by weights that are known
        deferred("histo_ray.predict.fitting.train_tiles:train_tiles"),
    ),
)


def find_trainer(task: Task) -> Trainer | None:
    """Find the trainer of a task; None if the task's heads cannot be kept."""
    found = (trainer for trainer in TRAINERS if issubclass(task.config, trainer.config))
    return next(found, None)
