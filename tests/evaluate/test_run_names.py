"""Names of runs: nothing but the version of statistics told 0.5.0's from those before."""

from pathlib import Path

import pytest

from histo_ray.config import digest
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.evaluate.tasks.registry import TASKS
from tests.cluster.patients import write_labels, write_store

VERSION = "statistics_version"
"""Always in the identity since 0.5.0, as intervals of all runs are others."""
ENCODERS = ("dull", "sharp")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    write_store(folder)
    write_labels(folder)
    table = folder / "mutations.csv"  # as it was when the runs were made
    table.write_text(table.read_text().replace("WILD1", "NONE"))
    (folder / "three.txt").write_text("TP53\nKRAS\nWILD1\n")
    (folder / "one.txt").write_text("TP53\n")
    return folder


@pytest.mark.parametrize(
    ("task", "labels", "settings", "before", "name"),
    [
        (
            "expression",
            "expression.csv",
            {"repeats": 3, "permutations": 200, "pooling": ("mean", "mean+std")},
            "expression-f11213e8ed9d",  # 0.1.0, 0.2.0
            "expression-b111fc8bbcbf",  # 0.5.0
        ),
        (
            "expression",
            "expression.csv",
            {"repeats": 2, "permutations": 0, "head": ("ridge", "pls"), "folds": 3,
             "keep_together": "site", "transform": "none", "inner_choice": "leave-one-out"},
            "expression-ad303e83cc2a",  # 0.2.0, whose tests know how few the sites are
            "expression-5e88c2d3a7de",  # 0.5.0
        ),
        (
            "mutation",
            "mutations.csv",
            {"repeats": 2, "genes": "three.txt"},
            "mutation-def051e00b94",  # 0.1.0, 0.2.0
            "mutation-faf4ccb61d06",  # 0.5.0
        ),
        (
            "mutation",
            "mutations.csv",
            {"repeats": 1, "genes": "one.txt", "head": ("logistic", "mil"),
             "mil": ("epochs=8", "hidden=16", "balanced=true", "members=1"),
             "inner_choice": "leave-one-out"},
            "mutation-d5e2374f8b13",  # 0.1.0, 0.2.0
            "mutation-3b8a1a871b05",  # 0.5.0
        ),
        (
            "mutation",
            "mutations.csv",
            {"repeats": 1, "genes": "one.txt", "head": ("mil",),
             "mil": ("rate=0.001,0.01", "epochs=3", "members=1")},
            "mutation-cd4c48818998",  # 0.2.0
            "mutation-5b394db81c5b",  # 0.5.0
        ),
    ],
)  # fmt: skip
def test_a_run_has_the_name_of_earlier_versions_but_for_that_of_statistics(
    place: Path, task: str, labels: str, settings: dict[str, object], before: str, name: str
) -> None:
    files = {"genes": str(place / str(settings["genes"]))} if "genes" in settings else {}
    config = TASKS[task].config.model_validate(
        {"store": str(place / "store"), "labels": str(place / labels), "encoder": ENCODERS,
         "resamples": 200} | settings | files
    )  # fmt: skip
    prepared = TASKS[task].prepare(config, Host(run_here))
    assert isinstance(prepared, PreparedPatients)
    assert prepared.folder.folder == f"evaluations/{task}/{name}"
    identity = {key: value for key, value in prepared.identity.items() if key != VERSION}
    few = {VERSION: 2} if settings.get("keep_together") == "site" else {}
    assert f"{task}-{digest(identity | few)[:12]}" == before
