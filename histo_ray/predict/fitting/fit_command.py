"""Settings of `fit` for each task: those of its evaluation and the options of its trainer."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import create_model

from histo_ray.config import Settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.base import Task
from histo_ray.labels.label_settings import GENE_LISTS
from histo_ray.predict.fitting.fit_settings import FitOptions
from histo_ray.predict.fitting.trainers import find_trainer

_FILES = ("labels", "genes", "sequenced", "fold_file")
"""Settings that may name a file that an evaluation reads."""


@cache
def fit_settings(task: Task) -> type[Settings]:
    """Make the settings class of a fit: fields of the evaluation, then those of the options.

    Raises:
        ConfigError: The task's heads cannot be kept.
    """
    trainer = find_trainer(task)
    if trainer is None:
        raise ConfigError(f"task {task.name}: its heads cannot be kept as a predictor")
    made: type[Settings] = create_model(
        f"Fit{task.config.__name__}", __base__=(trainer.options, task.config)
    )
    return made


def split_settings(task: Task, settings: Settings) -> tuple[Settings, FitOptions]:
    """Split settings of a fit into those of its evaluation and its options.

    Raises:
        ConfigError: More than one encoder, or a head that cannot be kept.
    """
    trainer = find_trainer(task)
    if trainer is None:
        raise ConfigError(f"task {task.name}: its heads cannot be kept as a predictor")
    encoders: tuple[str, ...] = getattr(settings, "encoder", ())
    if len(encoders) != 1:
        raise ConfigError(
            f"--encoder: {len(encoders)} are given ({', '.join(encoders)}), but a predictor is of "
            "one encoder; name one, and compare several with histo-ray evaluate"
        )
    config = task.config.model_validate(_find_files(_take(settings, task.config)))
    options = trainer.options.model_validate(_take(settings, trainer.options))
    trainer.check(config)
    return config, options


def _find_files(given: dict[str, Any]) -> dict[str, Any]:
    """Make relative paths of local files absolute: heat maps need them later, from any folder."""
    found = {name: given[name] for name in _FILES if isinstance(given.get(name), str)}
    if found.get("genes") in GENE_LISTS:
        del found["genes"]
    there = {name: Path(text).expanduser() for name, text in found.items() if "://" not in text}
    return given | {name: str(path.absolute()) for name, path in there.items() if path.is_file()}


def _take(settings: Settings, kind: type[Settings]) -> dict[str, Any]:
    """Values that were given, of the fields of a class; defaults stay defaults."""
    given = settings.model_fields_set & kind.model_fields.keys()
    return {name: getattr(settings, name) for name in given}
