"""`hr.evaluate`: one function a task, in this process."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import histo_ray as hr
import histo_ray.api.evaluate as api
from histo_ray.errors import ConfigError
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.tasks.mutation import MutationConfig
from histo_ray.evaluate.tasks.registry import TASKS
from tests.cluster.patients import write_labels, write_store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_store(folder)
    write_labels(folder)
    return folder


def test_every_task_of_the_registry_has_a_function_that_is_documented() -> None:
    for name in TASKS:
        function = getattr(api, name)
        assert "Returns:" in (function.__doc__ or "")
        assert "config" in inspect.signature(function).parameters


def test_the_examples_of_docstrings_work(place: Path) -> None:
    names = {"store": place / "store", "expression_csv": place / "expression.csv"}
    found = doctest.testmod(api, extraglobs=names)
    assert found.attempted >= 4
    assert found.failed == 0


def test_tables_are_data_frames_and_the_record_is_typed(place: Path) -> None:
    result = hr.evaluate.mutation(
        place / "store", labels=place / "mutations.csv", encoder=["dull", "sharp"], repeats=1,
        resamples=100,
    )  # fmt: skip
    assert set(result.targets["encoder"]) == {"dull", "sharp"}
    assert set(result.comparisons["target"]) <= {"TP53", "KRAS", "EGFR"}
    assert {"truth", "predicted"} <= set(result.predictions)
    assert result.scores["auroc"].between(0, 1).all()
    assert set(result.folds) >= {"item", "repeat", "fold"}
    assert result.cohort["used"].sum() == 60
    assert result.record.task == "mutation"
    assert (place / "store" / result.folder / "run.json").exists()


def test_a_config_object_stands_for_all_settings_and_for_nothing_else(place: Path) -> None:
    config = MutationConfig(
        store=str(place / "store"), labels=str(place / "mutations.csv"), encoder=("dull",),
        repeats=1, resamples=100, address="none",
    )  # fmt: skip
    assert set(hr.evaluate.mutation(config=config).targets["encoder"]) == {"dull"}
    with pytest.raises(ConfigError, match=r"hr\.evaluate\.mutation: a config object holds all"):
        hr.evaluate.mutation(config=config, repeats=2)


def test_settings_that_are_wrong_are_told_in_one_line(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"hr\.evaluate\.expression: .*did you mean encoder"):
        hr.evaluate.expression(place / "store", labels="x.csv", encodr="e")
    with pytest.raises(ConfigError, match="must be ridge, pls or elastic-net"):
        hr.evaluate.expression(place / "store", labels="x.csv", encoder="e", head="ridg")
    with pytest.raises(ConfigError, match=r"--mil: task: unknown key"):
        hr.evaluate.mutation(
            place / "store", labels=place / "mutations.csv", encoder="dull", head="mil",
            mil="task=expression",
        )  # fmt: skip


def test_an_address_that_is_given_is_obeyed_and_none_needs_no_ray(place: Path) -> None:
    given = {"store": "s", "labels": "l", "encoder": ("e",)}
    kind = MutationConfig
    assert api.choose_spread(kind.model_validate(given | {"address": "none"}), print) is run_here
    left_out = api.choose_spread(kind.model_validate(given), print)
    stated = api.choose_spread(kind.model_validate(given | {"address": "local"}), print)
    assert left_out.__qualname__.startswith("spread_if_worth")
    assert stated.__qualname__.endswith("on_ray")
    code = (
        "import sys; from histo_ray.cli import main; "
        f"code = main(['evaluate', 'expression', '--store', {str(place / 'store')!r}, '--labels', "
        f"{str(place / 'expression.csv')!r}, '--encoder', 'sharp', '--repeats', '1', "
        "'--permutations', '0', '--resamples', '100', *sys.argv[1:]]); "
        "print('code', code, 'ray' in sys.modules)"
    )
    for flags in (["--address", "none"], ["--seed", "1"]):  # small work stays here by itself
        done = subprocess.run(
            [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "code 0 False"
        assert ("done in this process" in done.stderr) == (flags[0] == "--seed")
