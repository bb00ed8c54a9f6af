"""The demo's patient tasks: expression and mutation from either encoder's features."""

from collections.abc import Callable
from pathlib import Path

from histo_ray.api.evaluate import evaluate
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.record_words import describe_record
from histo_ray.synth.patient_writer import PatientFiles

REMARK = "SYNTHETIC patients: drawn slides, simulated genes; no figure says anything of medicine"

Say = Callable[[str], None]


def evaluate_patient_tasks(
    files: PatientFiles, store: str, encoders: tuple[str, ...], say: Say, *, small: bool
) -> None:
    """Predict genes and mutations from either encoder's features, and print the sentences."""
    folds, repeats, permutations = (3, 2, 100) if small else (5, 10, 1000)
    tables: dict[str, tuple[Path, dict[str, int]]] = {
        "expression": (files.expression, {"permutations": permutations}),
        "mutation": (files.mutations, {}),
    }
    for name, (table, own_settings) in tables.items():
        say(f"demo: predicting {name} of SYNTHETIC patients from both encoders, on the same folds")
        say(f"  histo-ray evaluate {name} --store {store} --labels {table} \\")
        flags = " ".join(f"--encoder '{request}'" for request in encoders)
        say(f"    {flags} --folds {folds} --repeats {repeats}")
        settings = {
            "store": store,
            "labels": str(table),
            "encoder": encoders,
            "folds": folds,
            "repeats": repeats,
            "remark": REMARK,
        }
        task = TASKS[name]
        config = task.config.model_validate(settings | own_settings)
        print(f"\n{name.capitalize()} of genes (synthetic patients):")
        for line in describe_record(evaluate(task, config).record):
            print(f"  {line}".rstrip())
