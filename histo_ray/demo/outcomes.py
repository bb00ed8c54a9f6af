"""The demo's patients: what can be predicted of them from either encoder, and the report."""

from collections.abc import Callable
from pathlib import Path

from histo_ray.evaluate.patient_run import run_outcome
from histo_ray.evaluate.patient_settings import ExpressionConfig, MutationConfig
from histo_ray.report.outcome_words import describe_outcome
from histo_ray.synth.patient_writer import PatientFiles

REMARK = "SYNTHETIC patients: drawn slides, simulated genes; no figure says anything of medicine"

Say = Callable[[str], None]


def evaluate_outcomes(
    files: PatientFiles, store: str, encoders: tuple[str, ...], say: Say, *, small: bool
) -> None:
    """Predict genes and mutations from either encoder's features, and print what a paper would."""
    folds, repeats, permutations = (3, 2, 100) if small else (5, 10, 1000)
    tables: tuple[tuple[str, Path], ...] = (
        ("expression", files.expression),
        ("mutation", files.mutations),
    )
    for task, table in tables:
        say(f"demo: predicting {task} of SYNTHETIC patients from both encoders, on the same folds")
        say(f"  histo-ray evaluate {task} --store {store} --labels {table} \\")
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
        config = (
            ExpressionConfig.model_validate(settings | {"permutations": permutations})
            if task == "expression"
            else MutationConfig.model_validate(settings)
        )
        print(f"\n{task.capitalize()} of genes (synthetic patients):")
        for line in describe_outcome(run_outcome(config).note):
            print(f"  {line}".rstrip())
