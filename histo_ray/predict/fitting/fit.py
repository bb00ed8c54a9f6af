"""The life of a fit: evaluate (or find it done), train on all, publish (or find it done)."""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from histo_ray._version import __version__
from histo_ray.config import Settings, digest
from histo_ray.errors import ConfigError
from histo_ray.evaluate.engine import run_evaluation
from histo_ray.evaluate.events import PredictorFound, WaitingForRun
from histo_ray.evaluate.jobs import Host, PreparedRun
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.evaluate.tasks.base import Task
from histo_ray.predict.card import CohortCard, PredictorCard
from histo_ray.predict.files import find_predictor, load_predictor, publish_predictor
from histo_ray.predict.fitting.chance_caveats import find_useless_targets
from histo_ray.predict.fitting.fit_settings import FitOptions
from histo_ray.predict.fitting.trainers import Trained, find_trainer
from histo_ray.predict.patient_hashes import hash_patient, hash_slides
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.store.claim import hold_claim
from histo_ray.store.location import location_of

FIT_VERSION = 1
"""Raised whenever the code changes an array of a predictor for the same settings and data."""
_PACKAGES = ("numpy", "scipy", "scikit-learn", "safetensors", "torch")
_ELSEWHERE = frozenset({"store", "address", "cpus_per_repeat", "memory_gb", "remark"})
"""Settings of an evaluation that bear on no number."""


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

    The evaluation of exactly these settings is found done, or done first: the predictor's score,
    calibration and thresholds are from its out-of-fold predictions.

    Args:
        task: From `evaluate.tasks.registry.TASKS`.
        config: Settings of its evaluation, with one encoder.
        options: Name, and what is kept.
        host: Where the work is done, and who is told of it.

    Raises:
        HistoRayError: The fit cannot start, or the name is in use by another predictor.
    """
    trainer = find_trainer(task)
    if trainer is None:
        raise ConfigError(f"task {task.name}: its heads cannot be kept as a predictor")
    store: str = getattr(config, "store", "")
    prepared = task.prepare(config, host)
    trainer.check_encoder(prepared)
    fingerprint = fingerprint_fit(prepared, options)
    if (found := _find(store, options.name, fingerprint, host)) is not None:
        return found
    evaluation = run_evaluation(prepared, host)

    def tell_holder(holder: str) -> None:
        host.tell(WaitingForRun(options.name, holder))

    with hold_claim(location_of(store), f"fit-{options.name}", tell_holder, wait=True):
        if (found := _find(store, options.name, fingerprint, host)) is not None:
            return found
        trained = trainer.train(prepared, evaluation, options, host)
        card = _describe(task, config, options, evaluation, trained, fingerprint)
        published = publish_predictor(store, card, trained.parts)
    return FitResult(store, FittedPredictor(published, trained.parts, store), was_there=False)


def fingerprint_fit(prepared: PreparedRun, options: FitOptions) -> str:
    """Digest all that decides a predictor: data and settings of its evaluation, and options."""
    kept = options.model_dump(mode="json", exclude={"name"})
    run = prepared.folder.folder  # ends with a digest of all that decides its tables
    return digest({"fit_version": FIT_VERSION, "run": run, "options": kept})


def _find(store: str, name: str, fingerprint: str, host: Host) -> FitResult | None:
    """Find what this very fit has published."""
    if find_predictor(store, name, fingerprint) is None:
        return None
    host.tell(PredictorFound(name))
    return FitResult(store, load_predictor(name, store), was_there=True)


def _describe(
    task: Task,
    config: Settings,
    options: FitOptions,
    evaluation: Evaluation,
    trained: Trained,
    fingerprint: str,
) -> PredictorCard:
    settings = config.model_dump(mode="json", exclude=set(_ELSEWHERE)) | options.model_dump(
        mode="json", exclude={"name"}
    )
    return PredictorCard(
        name=options.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint,
        file_sha256="",
        task=task.name,
        kind=trained.kind,
        encoder=trained.encoder,
        tiling=trained.tiling,
        class_encoder=trained.class_encoder,
        slide_encoders=trained.slide_encoders,
        labels=trained.labels,
        targets=trained.targets,
        parts=trained.part_cards,
        cohort=_describe_cohort(trained, options.patient_hashes, fingerprint),
        where=getattr(config, "where", None) or "",
        evaluation=trained.evaluation,
        settings=settings,
        seed=getattr(config, "seed", 0),
        synthetic=evaluation.record.synthetic,
        remark=getattr(config, "remark", ""),
        caveats=(*evaluation.record.caveats, *find_useless_targets(trained.targets)),
        versions={"histo_ray": __version__, "python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    )


def _describe_cohort(trained: Trained, hashes: bool, fingerprint: str) -> CohortCard:
    """Count the patients; ids and slides as hashes, whose salt is the fit's own and the same twice.

    Args:
        trained: Who was trained on.
        hashes: Whether hashes are kept.
        fingerprint: Of the fit.
    """
    salt = digest({"salt of": fingerprint})[:32]
    people = set(trained.patients)
    keeps = hashes and bool(trained.receipts)
    kept = tuple(sorted(hash_patient(salt, person) for person in people)) if hashes else None
    return CohortCard(
        n_patients=len(trained.patients),
        n_slides=trained.n_slides,
        sites=trained.sites,
        salt=salt if hashes else "",
        patient_hashes=kept if people else None,
        slide_hashes=tuple(sorted(hash_slides(salt, trained.receipts))) if keeps else None,
    )
