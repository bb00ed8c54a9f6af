"""`hr.evaluate`: one function a task, in this process."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    with pytest.raises(ConfigError, match="must be ridge, pls, elastic-net or mil"):
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


def test_a_result_shows_itself_in_a_line(place: Path) -> None:
    result = hr.evaluate.mutation(
        place / "store", labels=place / "mutations.csv", encoder=["dull", "sharp"], repeats=1,
        resamples=100,
    )  # fmt: skip
    told = repr(result)
    assert len(told) < 300
    assert "\n" not in told
    assert told.startswith(f"<EvaluationResult mutation {result.record.run_id}; encoders dull, ")
    assert "3 targets; 60 patients; tables in " in told
    assert told.endswith(f"{result.folder}>")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"encoder": "sharpp"}, r"encoders there: dull, sharp; did you mean sharp\?$"),
        ({"encoder": "resnet18"}, r"no slides in .*encoders there: dull, sharp; extract them"),
        ({"encoder": "sharp", "tiling": "1.0"}, r"no slides in tiling 1\.0 .*tilings are t0 \("),
        ({"encoder": "sharp@px=99"}, r"no slides in these tiles in store .*tilings are t0 \("),
        (
            {"encoder": "sharp", "pooling": "meen"},
            r"pooling .meen. is unknown; .*you mean mean\?",
        ),
        ({"encoder": "sharp", "folds": 61}, r"60 patients cannot fill 61 folds; use 60 or fewer$"),
        ({"encoder": "sharp", "labels": "expression.csv"}, r"look like expression, not mutations"),
    ],
)
def test_what_does_not_fit_the_store_is_told_with_what_would(
    settings: dict[str, str], told: str, place: Path
) -> None:
    labels = place / settings.get("labels", "mutations.csv")
    asked: dict[str, Any] = settings | {"labels": labels, "repeats": 1}
    with pytest.raises(ConfigError, match=told) as error:
        hr.evaluate.mutation(place / "store", **asked)
    text = str(error.value)
    assert "timm.list_models" not in text
    assert ("did you mean" in text) == (settings["encoder"] == "sharpp" or "pooling" in settings)
    assert len(text) < 800


def test_a_cluster_that_does_not_answer_is_told_before_labels_are_read(place: Path) -> None:
    bad = place / "not-labels.csv"
    bad.write_text("nothing\nof the kind\n")
    address = "ray://127.0.0.1:9"  # a port where nobody listens
    flags = [
        "--store", str(place / "store"), "--labels", str(bad), "--encoder", "sharp",
        "--address", address,
    ]  # fmt: skip
    code = (
        "import sys; from histo_ray.cli import main\n"
        "for task in ('mutation', 'expression'):\n"
        "    print(task, main(['evaluate', task, *sys.argv[1:]]), flush=True)\n"
    )
    command = [sys.executable, "-c", code, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["mutation 2", "expression 2"]
    assert done.stderr.count("no Ray head answers at 127.0.0.1:9") == 2
    assert "Traceback" not in done.stderr
