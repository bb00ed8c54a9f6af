import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.cli import main
from histo_ray.predict.files import publish_predictor
from histo_ray.store.store import open_store
from tests.predict.external_store import write_external, write_labels
from tests.predict.made_predictor import make_predictor


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a predictor, another one with slides of other patients, and their labels."""
    folder = tmp_path_factory.mktemp("predict")
    open_store(str(folder / "A"), create=True)
    for name in ("made", "other"):
        found = make_predictor(name)
        publish_predictor(str(folder / "A"), found.card, found.parts)
    write_external(folder / "B")
    write_labels(folder / "b.csv", sex=["F", "M"] * 18)
    return folder


def arguments(here: Path, *more: str) -> list[str]:
    predictor, store = str(here / "A/predictors/made"), str(here / "B")
    return ["predict", "--predictor", predictor, "--store", store, *more]


def test_predictions_and_their_validation_are_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(here)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == (
        "made (mutation; research use only: not a medical device, and not validated for any "
        "clinical use): 36 patients, 44 slides of sharp, 2 targets"
    )
    assert "36/36 patients predicted" in err
    labels = ("--labels", str(here / "b.csv"), "--subgroup", "sex")
    assert main(arguments(here, *labels)) == 0
    out, err = capsys.readouterr()
    assert "is done already; nothing was computed" in err
    assert "made, external validation on 36 patients: median AUROC over 2 targets" in out
    assert "cross-validated 0.900; calibration slope" in out
    assert main(arguments(here, *labels, "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    (validation,) = said["validations"]
    assert validation["subgroups"] == ["sex"]
    assert (here / "B" / validation["folder"] / "scores.parquet").exists()


def test_two_predictors_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ("--predictor", str(here / "A/predictors/other"), "--labels", str(here / "b.csv"))
    assert main(arguments(here, *other)) == 0
    out = capsys.readouterr().out
    assert (
        "other against made, AUROC: better in 0 and worse in 0 of 2 targets (q < 0.05), median "
        "difference +0.000"
    ) in out


def test_the_python_api_does_the_same(here: Path) -> None:
    found = hr.predict(here / "A/predictors/made", here / "B", labels=here / "b.csv")
    assert set(found.validation.metric) >= {"auroc", "calibration_slope", "sensitivity"}
    assert "1 validation" in repr(found)
    with pytest.raises(hr.ConfigError, match="store is missing"):
        hr.predict(here / "A/predictors/made")
    with pytest.raises(hr.ConfigError, match="colour"):
        hr.predict(here / "A/predictors/made", here / "B", colour="red")  # type: ignore[call-arg]


def test_a_name_stands_for_a_predictor_of_a_store(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["predict", "--predictor", "made", "--store", str(here / "B")]
    assert main(named) == 2
    assert "in store" in (err := capsys.readouterr().err)
    assert "STORE/predictors/made" in err
    assert "--from-store" in err
    assert main([*named, "--from-store", str(here / "A")]) == 0
    shutil.copytree(here / "B", tmp_path / "B")
    shutil.copytree(here / "A/predictors", tmp_path / "B/predictors")
    assert main(["predict", "--predictor", "made", "--store", str(tmp_path / "B")]) == 0


def test_labels_of_one_class_end_with_1_and_predictions_stay(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(here / "b.csv")
    frame["ALPHA"] = 1
    frame.to_csv(tmp_path / "one.csv", index=False)
    assert main(arguments(here, "--labels", str(tmp_path / "one.csv"))) == 1
    told = capsys.readouterr().out
    assert "ALPHA: no AUROC, as labels are of one class alone; no calibration slope, as" in told
    assert "BETA: AUROC 0." in told or "BETA: AUROC 1." in told
    frame["BETA"] = 0
    frame.to_csv(tmp_path / "both.csv", index=False)
    assert main(arguments(here, "--labels", str(tmp_path / "both.csv"))) == 1
    out, err = capsys.readouterr()
    assert "36 patients, 44 slides of sharp" in out
    assert "predictor made cannot be validated; give labels with both classes" in err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--subgroup", "sex"), "subgroup: only with labels"),
        (("--threshold", "best"), "no threshold of predictor made"),
        (("--labels", "nowhere.csv"), "labels nowhere.csv: cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert main(arguments(here, *more)) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("histo-ray predict")]
    assert message in line


def test_a_predictor_that_is_not_there_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = str(here / "A/predictors/mode")
    assert main(["predict", "--predictor", predictor, "--store", str(here / "B")]) == 2
    assert "mode: there is no predictor.json; name the folder" in capsys.readouterr().err


def test_the_job_takes_a_run_file(here: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.toml"
    run.write_text(f'predictor = "{here}/A/predictors/made"\nstore = "{here}/B"\n')
    job = Path(__file__).parents[2] / "jobs" / "predict.py"
    done = subprocess.run([sys.executable, job, run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "36 patients" in done.stdout
