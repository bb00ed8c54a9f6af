"""`hr.fit` and `histo-ray fit`: the same fit from Python, the command line and a job file."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import histo_ray as hr
import histo_ray.api.fit as api
from histo_ray.cli import main
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.predict.fitting.trainers import find_trainer
from tests.cluster.patients import write_labels, write_store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_store(folder)
    write_labels(folder)
    return folder


def flags(place: Path, *more: str) -> list[str]:
    return [
        "fit", "mutation", "--store", str(place / "store"), "--encoder", "sharp", "--labels",
        str(place / "mutations.csv"), "--name", "three-genes", "--repeats", "1", "--address",
        "none", *more,
    ]  # fmt: skip


def test_every_task_can_be_fitted_and_its_function_is_documented() -> None:
    for name, task in TASKS.items():
        assert find_trainer(task) is not None
        assert "Raises:" in (getattr(api, name).__doc__ or "")


def test_the_examples_of_docstrings_work(place: Path) -> None:
    names = {"store": place / "store", "mutations_csv": place / "mutations.csv"}
    found = doctest.testmod(api, extraglobs=names)
    assert found.attempted >= 3
    assert found.failed == 0


def test_the_command_line_finds_what_python_has_fitted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = hr.fit.mutation(
        place / "store", labels=place / "mutations.csv", encoder="sharp", repeats=1,
        name="three-genes",
    )  # fmt: skip
    assert predictor.folder == f"{place}/store/predictors/three-genes"
    assert "three-genes: mutation by sharp; 3 targets" in repr(predictor)
    assert list(predictor.targets["name"]) == list(predictor.card.target_names)
    assert {"score", "low", "threshold, youden", "calibration"} <= set(predictor.targets)
    assert main(flags(place)) == 0
    told = capsys.readouterr()
    assert "three-genes was published before by the same fit; nothing to do" in told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("three-genes: mutation, 3 targets by sharp; research use only")
    assert "logistic on mean (3)" in lines[1]
    assert any("TP53: auroc 0.9" in line and "sensitivity" in line for line in lines)
    assert lines[-1].endswith(f"--predictor {predictor.folder} --store OTHER_STORE")
    assert main(flags(place, "--json")) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["file_sha256"] == predictor.card.file_sha256
    again = hr.load_predictor("three-genes", place / "store")
    np.testing.assert_array_equal(
        again.fitted.parts.linear[0].fit.weights, predictor.fitted.parts.linear[0].fit.weights
    )
    assert hr.load_predictor(predictor.folder).card == again.card


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--encoder", "dull"], "--encoder: 2 are given (sharp, dull)"),
        (["--name", "No Name"], "name"),
        (["--sensitivity", "1.5"], "must be 1 or less"),
        (["--head", "ridge"], "must be logistic or mil"),
        (["--repeats", "2"], "name 'three-genes' is in use"),
    ],
)
def test_bad_input_is_one_line(
    place: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags(place)) == 0
    capsys.readouterr()
    assert main(flags(place, *more)) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "histo-ray fit" in line]
    assert len(told) == 1
    assert message in told[0]


def test_a_name_must_be_given(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"hr\.fit\.expression: .*encoder"):
        hr.fit.expression(place / "store", labels="x.csv", name="n")
    with pytest.raises(TypeError, match="name"):
        hr.fit.mutation(place / "store", labels="x.csv", encoder="e")  # type: ignore[call-arg]


def test_a_job_takes_the_task_and_a_run_file(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.toml"
    run.write_text(
        f'store = "{place / "store"}"\nencoder = ["sharp"]\nrepeats = 1\naddress = "none"\n'
        f'labels = "{place / "mutations.csv"}"\nname = "three-genes"\n'
    )
    hr.fit.mutation(
        place / "store", labels=place / "mutations.csv", encoder="sharp", repeats=1,
        name="three-genes",
    )  # fmt: skip
    job = Path(__file__).parents[2] / "jobs/fit.py"
    done = subprocess.run(
        [sys.executable, job, "mutation", run, "--json"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "three-genes"
    assert "nothing to do" in done.stderr
