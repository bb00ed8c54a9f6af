"""Whether a store and the files beside it are there, before anything slow is imported."""

from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.labels.label_settings import GENE_LISTS
from histo_ray.pooling.registry import find_pooling, suggest_pooling
from histo_ray.storage import locate
from histo_ray.store.store import open_store


def check_patient_inputs(config: PatientConfig) -> None:
    """See that the store and the files of an evaluation on patients are there, and the poolings.

    Raises:
        HistoRayError: One of them is not.
    """
    for name in config.pooling:
        if find_pooling(name) is None:
            raise ConfigError(f"--pooling {name!r} is unknown; {suggest_pooling(name)}")
    open_store(config.store)
    files = {
        "labels": config.labels,
        "--genes": "" if config.genes in GENE_LISTS else config.genes,
        "--sequenced": config.sequenced,
        "--fold-file": config.fold_file,
    }
    for what, uri in files.items():
        if not uri:
            continue
        system, path = locate(uri)
        if system.get_file_info(path).type.name == "NotFound":
            raise ConfigError(f"{what} {uri}: there is no such file; check the path")
