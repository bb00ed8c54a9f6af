"""`hr.evaluate`: encoders compared by cross-validation, one function a task.

import histo_ray as hr
result = hr.evaluate.mutation("STORE", labels="mutations.csv", encoder=["a", "b"], repeats=10)
result.targets        # a row an encoder and gene: score, interval, P and q against chance
result.comparisons    # a row a pair of encoders and gene: difference, interval, P and q
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.api.keywords import make_settings
from histo_ray.api.pipelines import choose_pipeline
from histo_ray.config import NO_RAY, Settings, TileSetConfig, works_here
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.evaluate.engine import run_evaluation, run_here, spread_if_worth
from histo_ray.evaluate.jobs import Host, Progress, Report, Spread, Tell, UnitJob
from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.expression import ExpressionConfig
from histo_ray.evaluate.tasks.label import LabelConfig
from histo_ray.evaluate.tasks.mutation import MutationConfig
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.evaluate.tasks.survival import SurvivalConfig
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.extract.pipeline import OpenPipeline
from histo_ray.extract.run import extract_tilesets
from histo_ray.extract.run_counts import Counts
from histo_ray.store.location import location_of
from histo_ray.store.tables import EVALUATIONS
from histo_ray.tilesets.tileset import TileSet
from histo_ray.types import Outcome

_spread_on_ray = deferred("histo_ray.cluster.run_evaluate:spread_on_ray")
_check_cluster = deferred("histo_ray.cluster.session:check_cluster")
_check_machine = deferred("histo_ray.cluster.local_ray:check_before_work")

C = TypeVar("C", bound=Settings)


def evaluate(
    task: Task,
    config: Settings,
    *,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    report_tiles: Callable[[Counts], None] = lambda counts: None,
    say: Callable[[str], None] = lambda text: None,
) -> EvaluationResult:
    """Evaluate encoders on a task; what is done already is not done again.

    Args:
        task: From `evaluate.tasks.registry.TASKS`.
        config: Its settings.
        tell: Called with what is worth knowing before and while the work is done.
        report: Called with (units done, units in all).
        report_tiles: Called while labelled tiles are brought into the store.
        say: Called with lines on that.

    Raises:
        HistoRayError: The run could not start, or processes kept dying.
    """
    host = open_host(task, config, tell=tell, report=report, report_tiles=report_tiles, say=say)
    evaluation = run_evaluation(task.prepare(config, host), host)
    store: str = getattr(config, "store", "")
    return EvaluationResult(store, evaluation)


def open_host(
    task: Task,
    config: Settings,
    *,
    tell: Tell,
    report: Progress,
    report_tiles: Callable[[Counts], None],
    say: Callable[[str], None],
) -> Host:
    """Make the host of an evaluation, once its inputs and address have been looked at.

    Arguments and errors are those of `evaluate`.
    """

    def bring_tiles(config: TileSetConfig, sets: Sequence[TileSet]) -> None:
        _bring_tiles(config, sets, choose_pipeline(config, say), report_tiles)

    task.check_inputs(config)
    check_address(task, config, say)
    return Host(choose_spread(config, tell), tell, report, bring_tiles)


def check_address(task: Task, config: Settings, say: Callable[[str], None]) -> None:
    """See that Ray can be had where it was asked for, before labels and features are read.

    Where the store has evaluations of the task, this one may be among them and need no Ray: then
    what is wrong is told, and the command goes on.

    Raises:
        ConfigError: No cluster answers, or this machine cannot start Ray.
    """
    address: str = getattr(config, "address", NO_RAY)
    if address == NO_RAY or "address" not in config.model_fields_set:
        return
    try:
        (_check_machine if works_here(address) else _check_cluster)(address)
    except ConfigError as error:
        store: str = getattr(config, "store", "")
        if not location_of(f"{store}/{EVALUATIONS}/{task.name}").names():
            raise
        say(f"{error}. Going on, in case this evaluation is done already")


def choose_spread(config: Settings, tell: Tell) -> Spread:
    """Choose where units of work are done.

    An address that was given is obeyed. Where none was, units are done in this process as long as
    that is quicker, which is told, and others on a Ray of this machine.

    Args:
        config: Its `address` decides.
        tell: Told where work is done in this process.
    """
    address: str = getattr(config, "address", NO_RAY)

    def on_ray(job: UnitJob, report: Report) -> None:
        _spread_on_ray(address)(job, report)

    if address == NO_RAY:
        return run_here
    ray = sys.modules.get("ray")
    started = ray is not None and ray.is_initialized()  # it costs nothing any more
    if "address" in config.model_fields_set or not works_here(address) or started:
        return on_ray
    return spread_if_worth(on_ray, tell)


def tissue(
    store: str | Path | None = None,
    *,
    config: TissueConfig | None = None,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> EvaluationResult:
    """Compare encoders by how well a head on their embeddings tells classes of tiles apart.

    Args:
        store: Folder or URI of the feature store; tiles that it lacks are brought in.
        config: All settings, in place of the store and keywords.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray evaluate tissue`, with underscores: `tiles`,
            `encoder`, `test_tiles`, `folds`, `repeats`, ... `address` is "none" unless it is given:
            all work is done in this process.

    Returns:
        `.scores`, `.predictions`, `.recalls`, `.comparisons` and `.folds` as DataFrames; `.record`.

    Raises:
        ConfigError: The settings, the tiles or an encoder cannot be used.
        HistoRayError: Tiles could not be brought into the store, or the store cannot be used.
    """
    read = _read_config("tissue", TissueConfig, store, config, settings)
    return evaluate(TASKS["tissue"], read, tell=tell, report=report)


def expression(
    store: str | Path | None = None,
    *,
    config: ExpressionConfig | None = None,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> EvaluationResult:
    """Compare encoders by how well the expression of genes is predicted from their embeddings.

    Args:
        store: Folder or URI of the feature store.
        config: All settings, in place of the store and keywords.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray evaluate expression`, with underscores: `labels`,
            `encoder`, `pooling`, `head`, `folds`, `repeats`, ... `address` is "none" unless it is
            given: all work is done in this process.

    Returns:
        `.targets`, `.comparisons`, `.predictions`, `.scores`, `.folds` and `.cohort` as DataFrames;
        `.record`.

    Raises:
        ConfigError: The settings or labels cannot be used.
        StoreError: The store cannot be used.

    Examples:
        >>> import histo_ray as hr
        >>> result = hr.evaluate.expression(
        ...     store, labels=expression_csv, encoder=["dull", "sharp"], repeats=1, permutations=0
        ... )
        >>> result.comparisons.groupby(["encoder_a", "encoder_b"]).size().to_dict()
        {('dull', 'sharp'): 8}
        >>> result.record.cohort.patients_used
        57
    """
    read = _read_config("expression", ExpressionConfig, store, config, settings)
    return evaluate(TASKS["expression"], read, tell=tell, report=report)


def mutation(
    store: str | Path | None = None,
    *,
    config: MutationConfig | None = None,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> EvaluationResult:
    """Compare encoders by how well mutated genes are predicted from their embeddings.

    Args:
        store: Folder or URI of the feature store.
        config: All settings, in place of the store and keywords.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray evaluate mutation`, with underscores: `labels`,
            `encoder`, `pooling`, `head`, `mil`, `folds`, `repeats`, ... `address` is "none" unless
            it is given: all work is done in this process.

    Returns:
        `.targets`, `.comparisons`, `.predictions`, `.scores`, `.folds` and `.cohort` as DataFrames;
        `.record`.

    Raises:
        ConfigError: The settings or labels cannot be used.
        StoreError: The store cannot be used.
    """
    read = _read_config("mutation", MutationConfig, store, config, settings)
    return evaluate(TASKS["mutation"], read, tell=tell, report=report)


def label(
    store: str | Path | None = None,
    *,
    config: LabelConfig | None = None,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> EvaluationResult:
    """Compare encoders by how well columns of labels are predicted from their embeddings.

    Args:
        store: Folder or URI of the feature store.
        config: All settings, in place of the store and keywords.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray evaluate label`, with underscores: `column`, `kind`,
            `order`, `positive`, `labels`, `encoder`, `pooling`, `head`, ... Without `labels`,
            columns are those that the manifest has beside slides, patients and sites. `address` is
            "none" unless it is given: all work is done in this process.

    Returns:
        `.targets`, `.comparisons`, `.predictions`, `.scores`, `.folds` and `.cohort` as DataFrames;
        `.record`. Of columns of several classes also the tables `classes` and `confusion`, by
        `.table(name)`.

    Raises:
        ConfigError: The settings or labels cannot be used, or nobody can tell what a column holds.
        StoreError: The store cannot be used.
    """
    read = _read_config("label", LabelConfig, store, config, settings)
    return evaluate(TASKS["label"], read, tell=tell, report=report)


def survival(
    store: str | Path | None = None,
    *,
    config: SurvivalConfig | None = None,
    tell: Tell = lambda event: None,
    report: Progress = lambda done, total: None,
    **settings: object,
) -> EvaluationResult:
    """Compare encoders by how well times until an event are predicted from their embeddings.

    Args:
        store: Folder or URI of the feature store.
        config: All settings, in place of the store and keywords.
        tell: Called with events worth knowing (`evaluate.events`).
        report: Called with (units done, units in all).
        **settings: As the flags of `histo-ray evaluate survival`, with underscores: `labels`,
            `encoder`, `time` and `event`, or `endpoint`, `time_unit`, `times`, `pooling`, `folds`,
            ... `address` is "none" unless it is given: all work is done in this process.

    Returns:
        `.targets`, `.comparisons`, `.predictions` (`truth` +t for an event at t, -t for a patient
        censored at t; `predicted` log-hazards), `.scores`, `.folds` and `.cohort` as DataFrames;
        `.record`. The tables `survival`, `survival_times` and `survival_curves` are views of
        `Store.sql`.

    Raises:
        ConfigError: The settings or labels cannot be used.
        StoreError: The store cannot be used.
    """
    read = _read_config("survival", SurvivalConfig, store, config, settings)
    return evaluate(TASKS["survival"], read, tell=tell, report=report)


def _read_config(
    task: str,
    kind: type[C],
    store: str | Path | None,
    config: C | None,
    settings: Mapping[str, object],
) -> C:
    """Make a config of keywords, or take the one that was given in their place.

    Raises:
        ConfigError: Both, or keywords that cannot be used.
    """
    if config is None:
        given = {} if store is None else {"store": store}
        return make_settings(kind, {**given, **settings}, f"hr.evaluate.{task}")
    if store is not None or settings:
        raise ConfigError(
            f"hr.evaluate.{task}: a config object holds all settings; change it with "
            "config.model_copy(update={...}) in place of further arguments"
        )
    return config


def _bring_tiles(
    config: TileSetConfig,
    sets: Sequence[TileSet],
    open_pipeline: OpenPipeline,
    report: Callable[[Counts], None],
) -> None:
    """Extract what the store lacks.

    Raises:
        HistoRayError: Some of it could not be extracted.
        KeyboardInterrupt: It was interrupted.
    """
    summary = extract_tilesets(config, sets, open_pipeline, report)
    if summary.interrupted:
        raise KeyboardInterrupt
    lost = [row for row in summary.rows if row.outcome is Outcome.FAILED]
    if lost:
        told = "; ".join(f"{row.slide_id} [{row.encoder}]: {row.reason}" for row in lost)
        raise HistoRayError(f"tiles: {told}")
