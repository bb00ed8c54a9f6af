"""Find an evaluation of patients in a store, and prepare the very same one again."""

from collections.abc import Mapping
from pathlib import Path

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.evaluation_record import EvaluationRecord, PatientRecord
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.mil_variants import restore_variants
from histo_ray.evaluate.patients.patient_run import PreparedTargets
from histo_ray.evaluate.run_once import find_done
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.store.tables import EVALUATIONS, TableFolder, open_evaluation
from histo_ray.text import did_you_mean, name_some


def find_run(store: str, run_id: str) -> tuple[TableFolder, EvaluationRecord]:
    """Find an evaluation by its name.

    Args:
        store: Folder or URI of the store.
        run_id: As `run.json` and the folder call it.

    Raises:
        StoreError: There is none of this name, or it is not whole.
    """
    names: list[str] = []
    for task in TASKS:
        folder = open_evaluation(store, task, run_id)
        done = find_done(folder)
        if done is not None:
            return folder, done
        names += folder.root.child(f"{EVALUATIONS}/{task}").names()
    raise StoreError(
        f"run {run_id}: store {store} holds no such evaluation, or it did not end; there are "
        f"{name_some(names) or 'none'}{did_you_mean(run_id, names)}"
    )


def prepare_again(
    store: str, record: PatientRecord, host: Host, changes: Mapping[str, object] | None = None
) -> PreparedTargets:
    """Join the slides, labels and folds of an evaluation that is done, as they were.

    Args:
        store: Folder or URI of the store that holds it.
        record: Of the evaluation.
        host: Told of what takes long.
        changes: Settings that say where something lies now, as `labels`.

    Raises:
        StoreError: Something that decided its predictions is different now.
        ConfigError: The label file is not where it was.
        HistoRayError: Labels or slides cannot be read.
    """
    task = TASKS[record.task]
    given = {**record.settings, "store": store, "check": False, **(changes or {})}
    if record.inner_choice == 1:  # older versions knew no other
        given["inner_choice"] = "leave-one-out"
    known = {name: value for name, value in given.items() if name in task.config.model_fields}
    if "mil" in known and record.mil:
        texts = known["mil"] if isinstance(known["mil"], list | tuple) else []
        known["mil"] = restore_variants([str(text) for text in texts], record.mil)
    config = parse_settings(task.config, known, f"settings of run {record.run_id}")
    _check_labels(getattr(config, "labels", ""), record.run_id)
    prepared = task.prepare(config, host)
    run_id = prepared.folder.folder.rpartition("/")[2]
    if not isinstance(prepared, PreparedTargets) or run_id != record.run_id:
        raise StoreError(
            f"run {record.run_id}: labels, slides or embeddings are not those that it was made "
            f"from ({_find_differences(record, prepared)}), so its heads cannot be had again; run "
            f"histo-ray evaluate {record.task} anew and give that run"
        )
    return prepared


def _check_labels(labels: str, run_id: str) -> None:
    """See that the label file is there, before slides are read.

    Raises:
        ConfigError: It is not.
    """
    if labels and "://" not in labels and not Path(labels).expanduser().is_file():
        raise ConfigError(
            f"run {run_id}: its label file {labels} is not there"
            f"{'' if Path(labels).is_absolute() else ', seen from this folder'}; name the same "
            "file where it is now with --labels"
        )


def _find_differences(record: PatientRecord, prepared: object) -> str:
    """What is not as it was, in words."""
    if not isinstance(prepared, PreparedTargets):
        return "no evaluation of patients"
    now = PatientRecord.model_validate({**prepared.identity, "settings": record.settings})
    parts = {
        "labels": (record.labels.values_sha256, now.labels.values_sha256),
        "label file": (record.labels.sha256, now.labels.sha256),
        "patients or targets": (record.labels.names_sha256, now.labels.names_sha256),
        "folds": (record.folds.sha256, now.folds.sha256),
        "embeddings": (record.encoders, now.encoders),
        "pooled vectors": (record.features, now.features),
        "slides": (record.slides_sha256, now.slides_sha256),
        "version of the predictions": (record.outcome_version, now.outcome_version),
    }
    found = [name for name, (one, other) in parts.items() if one != other]
    return ", ".join(found) or "settings"
