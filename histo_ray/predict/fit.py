"""The life of a fit: evaluate (or find it done), train on all, publish (or find it done)."""

from dataclasses import dataclass

from histo_ray.config import Settings
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.tasks.base import Task
from histo_ray.predict.fit_settings import FitOptions
from histo_ray.predict.predictor import FittedPredictor


@dataclass(frozen=True)
class FitResult:
    """A predictor that is in a store."""

    store: str
    """Path or URI."""
    predictor: FittedPredictor
    was_there: bool
    """Whether it had been published before by the same fit."""


def fit_predictor(task: Task, config: Settings, options: FitOptions, host: Host) -> FitResult:
    """Fit a predictor on all patients or tiles, and publish it.

    Args:
        task: From `evaluate.tasks.registry.TASKS`.
        config: Settings of its evaluation, with one encoder.
        options: Name, and what is kept.
        host: Where the evaluation is done, and who is told of it.

    Raises:
        HistoRayError: The fit cannot start, or the name is in use by another predictor.
    """
    raise NotImplementedError
