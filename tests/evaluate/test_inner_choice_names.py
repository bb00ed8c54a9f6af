"""Names of runs and settings of their heads, where heads share inner folds and where not."""

from pathlib import Path
from typing import Any

import pytest

from histo_ray.evaluate.engine import run_evaluation, run_here
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.find_run import prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.inner_choice import make_head_settings
from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.evaluate.tasks.registry import TASKS
from tests.cluster.patients import write_labels, write_store

HERE = Host(run_here)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inner")
    write_store(folder)
    write_labels(folder)
    return folder


def prepare(place: Path, **settings: Any) -> PreparedPatients:
    config = TASKS["expression"].config.model_validate(
        {"store": str(place / "store"), "labels": str(place / "expression.csv"),
         "encoder": ("sharp",), "permutations": 0, "repeats": 1, "folds": 3, "resamples": 100}
        | settings
    )  # fmt: skip
    prepared = TASKS["expression"].prepare(config, HERE)
    assert isinstance(prepared, PreparedPatients)
    return prepared


@pytest.mark.parametrize(
    ("settings", "shared"),
    [
        ({}, False),
        ({"pooling": ("mean", "max")}, False),  # leaving out one patient is the same for both
        ({"head": ("ridge", "pls")}, True),
        ({"keep_together": "site"}, True),
        ({"head": ("pls", "elastic-net")}, True),
    ],
)
def test_heads_share_inner_folds_where_they_compete_or_sites_stay_together(
    place: Path, settings: dict[str, Any], shared: bool
) -> None:
    now = prepare(place, **settings)
    before = prepare(place, inner_choice="leave-one-out", **settings)
    chosen = [make_head_settings(now.plan, one).leave_one_out for one in now.plan.configurations]
    assert chosen == [not shared] * len(chosen)
    alone = make_head_settings(before.plan, before.plan.configurations[0])
    assert alone.leave_one_out
    changed = shared and "ridge" in now.plan.config.head_names
    assert (now.folder.folder == before.folder.folder) is not changed


def test_a_run_of_before_is_prepared_as_it_was(place: Path) -> None:
    old = prepare(place, keep_together="site", inner_choice="leave-one-out")
    done = run_evaluation(old, HERE)
    record = done.record
    assert isinstance(record, PatientRecord)
    kept = {name: value for name, value in record.settings.items() if name != "inner_choice"}
    before = record.model_copy(update={"settings": kept})  # as 0.4.0 wrote it
    again = prepare_again(str(place / "store"), before, HERE)
    assert again.folder.folder == old.folder.folder


@pytest.mark.parametrize(
    ("settings", "effective"),
    [
        ({"head": ("logistic",)}, True),
        ({"head": ("logistic",), "keep_together": "site"}, False),
        ({"head": ("mil",)}, False),
    ],
)
def test_penalties_by_leave_one_out_name_another_run_where_they_are_used(
    place: Path, settings: dict[str, Any], effective: bool
) -> None:
    runs = []
    for way in ("inner-folds", "alo"):
        config = TASKS["mutation"].config.model_validate(
            {"store": str(place / "store"), "labels": str(place / "mutations.csv"),
             "encoder": ("sharp",), "repeats": 1, "folds": 3,
             "resamples": 100, "penalty_by": way}
            | settings
        )  # fmt: skip
        prepared = TASKS["mutation"].prepare(config, HERE)
        assert isinstance(prepared, PreparedPatients)
        runs.append(prepared)
    inner, alo = runs
    assert (inner.folder.folder != alo.folder.folder) is effective
    assert "penalty_by" not in inner.identity
    assert alo.identity.get("penalty_by") == ("alo" if effective else None)
    chosen = {make_head_settings(alo.plan, one).penalty_by for one in alo.plan.configurations}
    assert chosen == {"alo" if effective else "inner-folds"}
