"""`hr.fit`: heads trained on all patients and published as a predictor, one function a task.

import histo_ray as hr
predictor = hr.fit.mutation("STORE", labels="mutations.csv", encoder="ftx2048", name="luad")
predictor.card          # what it predicts, from what, and how good it is
predictor.targets       # a row a target: what was chosen, score and interval, thresholds
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from histo_ray.api.evaluate import open_host
from histo_ray.api.keywords import make_settings
from histo_ray.api.predictor import Predictor
from histo_ray.config import Settings
from histo_ray.evaluate.jobs import Progress, Tell
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.extract.run_counts import Counts
from histo_ray.predict.files import PREDICTORS
from histo_ray.predict.fitting.fit import FitResult, fit_predictor
from histo_ray.predict.fitting.fit_command import fit_settings, split_settings

__all__ = ["expression", "fit", "label", "mutation", "tissue"]


def fit(
    task: Task,
    settings: Settings,
    *,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    report_tiles: Callable[[Counts], None] = lambda counts: None,
    say: Callable[[str], None] = lambda text: None,
) -> FitResult:
    """Fit a predictor; its evaluation is found done, or done first.

    Args:
        task: From `evaluate.tasks.registry.TASKS`.
        settings: Of the class that `fit_settings(task)` makes.
        tell: Called with what is worth knowing before and while the work is done.
        report: Called with (units done, units in all).
        report_tiles: Called while labelled tiles are brought into the store.
        say: Called with lines on that.

    Raises:
        HistoRayError: The fit could not start, or its name is in use by another predictor.
    """
    config, options = split_settings(task, settings)
    host = open_host(task, config, tell=tell, report=report, report_tiles=report_tiles, say=say)
    return fit_predictor(task, config, options, host)


def tissue(
    store: str | Path,
    *,
    name: str,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> Predictor:
    """Fit a predictor of classes of tiles on all labelled tiles.

    Args:
        store: Folder or URI of the feature store; tiles that it lacks are brought in, and the
            predictor is published there.
        name: Of the predictor.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray fit tissue`, with underscores: `tiles`, `encoder`,
            `head`, ... `address` is "none" unless it is given: all work is done in this process.

    Raises:
        ConfigError: The settings, tiles, encoder or name cannot be used.
        StoreError: The store cannot be used.
    """
    return _fit("tissue", store, name, tell, report, settings)


def expression(
    store: str | Path,
    *,
    name: str,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> Predictor:
    """Fit a predictor of the expression of genes on all patients.

    Args:
        store: Folder or URI of the feature store; the predictor is published there.
        name: Of the predictor.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray fit expression`, with underscores: `labels`,
            `encoder`, `pooling`, `head`, `calibration`, ... `address` is "none" unless it is given:
            all work is done in this process.

    Raises:
        ConfigError: The settings, labels or name cannot be used.
        StoreError: The store cannot be used.
    """
    return _fit("expression", store, name, tell, report, settings)


def mutation(
    store: str | Path,
    *,
    name: str,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> Predictor:
    """Fit a predictor of mutated genes on all patients.

    Args:
        store: Folder or URI of the feature store; the predictor is published there.
        name: Of the predictor.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray fit mutation`, with underscores: `labels`, `encoder`,
            `pooling`, `head`, `mil`, `calibration`, ... `address` is "none" unless it is given: all
            work is done in this process.

    Raises:
        ConfigError: The settings, labels or name cannot be used.
        StoreError: The store cannot be used.

    Examples:
        >>> import histo_ray as hr
        >>> predictor = hr.fit.mutation(
        ...     store, labels=mutations_csv, encoder="sharp", repeats=1, name="three-genes"
        ... )
        >>> predictor.targets[["name", "metric", "pooling", "head"]].iloc[0].tolist()
        ['TP53', 'auroc', 'mean', 'logistic']
    """
    return _fit("mutation", store, name, tell, report, settings)


def label(
    store: str | Path,
    *,
    name: str,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> Predictor:
    """Fit a predictor of columns of labels, all of one kind, on all patients.

    Args:
        store: Folder or URI of the feature store; the predictor is published there.
        name: Of the predictor.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray fit label`, with underscores: `column`, `kind`,
            `order`, `positive`, `labels`, `encoder`, `pooling`, `head`, ... `address` is "none"
            unless it is given: all work is done in this process.

    Raises:
        ConfigError: The settings, labels or name cannot be used, or columns are of several kinds.
        StoreError: The store cannot be used.
    """
    return _fit("label", store, name, tell, report, settings)


def survival(
    store: str | Path,
    *,
    name: str,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> Predictor:
    """Fit a predictor of survival on all patients.

    Args:
        store: Folder or URI of the feature store; the predictor is published there.
        name: Of the predictor.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray fit survival`, with underscores: `labels`, `encoder`,
            `time` and `event`, or `endpoint`, `time_unit`, `times`, ... `address` is "none" unless
            it is given: all work is done in this process.

    Raises:
        ConfigError: The settings, labels or name cannot be used.
        StoreError: The store cannot be used.
    """
    return _fit("survival", store, name, tell, report, settings)


def _fit(
    task: str,
    store: str | Path,
    name: str,
    tell: Tell,
    report: Progress,
    settings: Mapping[str, object],
) -> Predictor:
    given = {**settings, "store": store, "name": name}
    read = make_settings(fit_settings(TASKS[task]), given, f"hr.fit.{task}")
    result = fit(TASKS[task], read, tell=tell, report=report)
    card = result.predictor.card
    return Predictor(f"{result.store.rstrip('/')}/{PREDICTORS}/{card.name}", result.predictor)
