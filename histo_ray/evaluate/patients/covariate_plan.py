"""Which heads are trained on covariates, alone and beside images. Pure."""

from collections.abc import Iterator, Sequence

from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.heads.registry import load_patient_head, trains_on_bags
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.types import TargetKind

COVARIATE_HEADS = {TargetKind.CONTINUOUS: "ridge", TargetKind.BINARY: "logistic"}
"""Head on covariates, by what is predicted."""
ALONE = "covariates"
"""Name of their row among encoders."""
NO_POOLING = "none"
"""Their pooling."""


def name_added(encoder: str) -> str:
    """Name the row of an encoder beside covariates; no encoder can be called so."""
    return f"{encoder} + {ALONE}"


def check_settings(task: PatientTask, config: PatientConfig, encoders: Sequence[str]) -> None:
    """Refuse covariates and harmonisation where they cannot be.

    Raises:
        ConfigError: They cannot.
    """
    if config.harmonise != "none" and any(map(trains_on_bags, config.head_names)):
        raise ConfigError(
            f"--harmonise {config.harmonise}: works on pooled vectors, but attention heads (mil) "
            "see tiles; leave --head mil or --harmonise out"
        )
    if config.harmonise != "none" and not task.takes_harmonise:
        raise ConfigError(
            f"--harmonise {config.harmonise}: not for evaluate {task.name}, which trains heads "
            "again for its scores at times; leave it out"
        )
    if not config.covariate:
        return
    if not task.takes_covariates:
        raise ConfigError(
            f"--covariate: not for evaluate {task.name}; evaluate expression, mutation and label "
            "take it"
        )
    if ALONE in encoders:
        raise ConfigError(
            f"--covariate: an encoder is called {ALONE}, as the row of covariates would be; "
            "rename it"
        )
    if not _list_heads(task, config):
        raise ConfigError(
            "--covariate: no --head takes what covariates predict as an offset; add --head "
            f"{COVARIATE_HEADS[task.kind]}"
        )


def list_covariate_rows(
    task: PatientTask, config: PatientConfig, encoders: Sequence[str]
) -> Iterator[Configuration]:
    """List covariates alone, then the images of each encoder beyond them.

    Args:
        task: Which.
        config: Its settings; nothing is listed without covariates.
        encoders: In order.
    """
    if not config.covariate:
        return
    yield Configuration(ALONE, NO_POOLING, COVARIATE_HEADS[task.kind], use=CovariateUse.ALONE)
    for encoder in encoders:
        for head in _list_heads(task, config):
            for pooling in config.pooling:
                yield Configuration(
                    name_added(encoder), pooling, head, use=CovariateUse.ADDED, source=encoder
                )


def _list_heads(task: PatientTask, config: PatientConfig) -> list[str]:
    """List the heads that can be trained beyond covariates."""
    pooled = [name for name in config.head_names if not trains_on_bags(name)]
    if task.kind is TargetKind.CONTINUOUS:
        return pooled
    return [name for name in pooled if load_patient_head(name).predict_beyond is not None]
