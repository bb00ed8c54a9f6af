"""The registry of tasks: each member keeps the contract."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from histo_ray.evaluate.tasks.base import Task
from histo_ray.evaluate.tasks.registry import TASKS
from tests.cluster.patients import write_clinical, write_labels, write_store, write_survival
from tests.evaluate.task_contract import TaskContract
from tests.made_up import draw_tiles


def make_tissue(folder: Path) -> dict[str, Any]:
    tiles = draw_tiles(folder / "tiles", 9, seed=0)
    return {
        "store": str(folder / "store"), "tiles": str(tiles), "device": "cpu", "folds": 3,
        "encoder": ("random:resnet10t?seed=0&px=64", "random:resnet10t?seed=1&px=64"),
        "repeats": 2, "resamples": 100,
    }  # fmt: skip


def make_patients(folder: Path, labels: str) -> dict[str, Any]:
    store = write_store(folder)
    write_labels(folder)
    return {
        "store": store, "labels": str(folder / labels), "encoder": ("dull", "sharp"),
        "repeats": 2, "resamples": 100,
    }  # fmt: skip


def make_survival(folder: Path) -> dict[str, Any]:
    settings = make_patients(folder, "survival.csv")
    write_survival(folder)
    endpoints = ("OS=os_months,os_status", "PFS=pfs_months,pfs_event")
    return settings | {"endpoint": endpoints, "time_unit": "months"}


def make_columns(folder: Path) -> dict[str, Any]:
    settings = make_patients(folder, "clinical.csv")
    write_clinical(folder)
    return settings | {
        "column": ("response", "subtype", "grade", "age"), "kind": ("grade=ordinal",), "repeats": 1,
        "folds": 3, "inner_folds": 2,
    }  # fmt: skip


SAMPLES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "tissue": make_tissue,
    "expression": lambda folder: make_patients(folder, "expression.csv") | {"permutations": 50},
    "survival": lambda folder: make_survival(folder),
    "mutation": lambda folder: make_patients(folder, "mutations.csv"),
    "label": make_columns,
}
"""Small settings of each task, with the files that they name."""


@pytest.mark.parametrize("name", TASKS)
class TestEveryTask(TaskContract):
    """Each member of the registry."""

    @pytest.fixture
    def task(self, name: str) -> Task:
        return TASKS[name]

    @pytest.fixture
    def settings(self, name: str, tmp_path: Path) -> dict[str, Any]:
        return SAMPLES[name](tmp_path)


def test_tasks_stand_under_their_names() -> None:
    assert [task.name for task in TASKS.values()] == list(TASKS)
