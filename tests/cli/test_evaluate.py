"""`histo-ray evaluate tissue` from tile files to printed sentences, on a real local Ray."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from histo_ray.cli import main
from histo_ray.cli.evaluate import RepeatCounter
from histo_ray.report.format_numbers import format_p
from histo_ray.store.store import open_store
from tests.made_up import draw_tiles

ENCODERS = ["random:resnet10t?seed=0&px=64", "random:resnet10t?seed=1&px=64"]
NAMES = ["random-resnet10t-px64-seed0", "random-resnet10t-px64-seed1"]
SMALL = ["--folds", "3", "--repeats", "2", "--resamples", "200", "--device", "cpu",
         "--address", "local"]  # fmt: skip


def arguments(store: Path, tiles: Path, *more: str) -> list[str]:
    chosen = [flag for encoder in ENCODERS for flag in ("--encoder", encoder)]
    return ["evaluate", "tissue", "--store", str(store), "--tiles", str(tiles), *chosen, *SMALL,
            *more]  # fmt: skip


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_tiles(tmp_path_factory.mktemp("tiles") / "train", 20, seed=0)


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_encoders_are_compared_and_a_second_run_computes_nothing(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, test = tmp_path / "store", draw_tiles(tmp_path / "test", 8, seed=1)
    command = arguments(store, tiles, "--test-tiles", str(test))
    assert main(command) == 0
    told = capsys.readouterr()
    assert re.search(
        r"train: 60 tiles, 2 x 3-fold cross-validation, \d+ inferred groups kept together, head",
        told.out,
    )
    assert "test: 24 tiles, external test set" in told.out
    assert re.search(r"Accuracy was [\d.]+ % with random-resnet10t", told.out)
    assert "corrected resampled t-test P = " in told.out
    assert "no patients were given" in told.out
    assert re.search(r"12 fits of logistic on 60 x 512 .* CPU minutes", told.err)
    (run,) = (store / "evaluations" / "tissue").iterdir()
    names = {path.name for path in run.iterdir()}
    tables = ("scores", "recalls", "summary", "predictions", "comparisons", "folds")
    assert names == {*(f"{name}.parquet" for name in tables), "run.json"}
    assert len(pd.read_parquet(run / "predictions.parquet")) == 3 * (2 * 2 * 60 + 24)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    assert main([*command, "--json"]) == 0
    again = capsys.readouterr()
    assert "nothing was computed" in again.err
    note = json.loads(again.out)
    assert list(note["encoders"]) == NAMES
    assert len(note["encoders"][NAMES[0]]["train"]["vectors_sha256"]) == 64
    after = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    assert {path: after[path] for path in before} == {
        path: time for path, time in before.items() if path in after
    }


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
def test_groups_and_a_given_fold_file_are_kept(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(tiles.rglob("*.png"))
    table = tmp_path / "tiles.csv"
    lines = [f"{path},{path.parent.name},p{k % 6}" for k, path in enumerate(paths)]
    table.write_text("\n".join(["path,label,group", *lines]) + "\n")
    assert main(arguments(tmp_path / "store", table)) == 0
    told = capsys.readouterr().out
    assert "leakage" not in told
    assert "95 % bootstrap interval over groups" in told
    (run,) = (tmp_path / "store" / "evaluations" / "tissue").iterdir()
    folds = run / "folds.parquet"
    assert (pd.read_parquet(folds).groupby(["repeat", "group"])["fold"].nunique() == 1).all()
    given = arguments(tmp_path / "store", table, "--fold-file", str(folds))
    assert main(given) == 0
    assert "nothing was computed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--folds", "1"], "--folds 1: must be 2 or more"),
        (
            ["--folds", "40"],
            "too few items of ADI in 20, LYM in 20, TUM in 20 for 40 folds, which need 40",
        ),
        (["--fold-file", "no.parquet"], "--fold-file no.parquet: cannot be read"),
        (["--test-tiles", "nowhere"], "nowhere"),
        (["--inner-parts", "3"], "inner_parts: 3, must be fewer than --folds"),
        (["--tile-px", "64"], "one size"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    flags: list[str], told: str, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(tmp_path / "store", tiles), *flags]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "starting" not in line]
    assert len(errors) == 1
    assert re.search(told, errors[0])


OUTCOME = ["evaluate", "expression", "--encoder", "e"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--store", "nowhere", "--labels", "x.csv"], "store .*nowhere: there is no feature store"),
        (
            ["--store", "store", "--labels", "x.csv"],
            "labels x.csv: there is no such file; check the path",
        ),
        (
            ["--store", "store", "--labels", "l.csv", "--genes", "g"],
            "--genes g: there is no such file",
        ),
        (
            ["--store", "store", "--labels", "l.csv", "--fold-file", "f"],
            "--fold-file f: there is no such",
        ),
        (["--store", "store"], r"--labels is missing; give it \(--help says what it is\)"),
    ],
)
def test_what_is_not_there_is_told_before_anything_slow_is_imported(
    flags: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    open_store("store", create=True)
    (tmp_path / "l.csv").write_text("patient_id,G\nP,1\n")
    monkeypatch.setitem(sys.modules, "histo_ray.api.evaluate", None)  # its import fails
    assert main([*OUTCOME, *flags]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_an_outcome_run_needs_ray_only_once_something_is_to_be_computed() -> None:
    code = "import sys, histo_ray.evaluate.patients.patient_run as r; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_flags_of_the_other_task_are_neither_shown_nor_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for task, flag in (("mutation", "--transform"), ("mutation", "--clip-at"),
                       ("expression", "--sequenced")):  # fmt: skip
        with pytest.raises(SystemExit):
            main(["evaluate", task, "--help"])
        assert flag not in capsys.readouterr().out
        with pytest.raises(SystemExit) as error:
            main(["evaluate", task, "--store", "s", "--labels", "l", "--encoder", "e", flag, "x"])
        assert error.value.code == 2
        assert f"unknown flag {flag}" in capsys.readouterr().err


def test_a_line_of_progress_is_not_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    lines = RepeatCounter()
    for done in (1, 2, 2):
        lines.report(done, 2)
    assert capsys.readouterr().err.count("2/2 repeats evaluated") == 1


def test_a_p_value_is_never_printed_as_zero() -> None:
    assert [format_p(p) for p in (0.0, 2.2e-6, 0.04321, 1.0)] == [
        "< 1e-15", "2.2e-06", "0.043", "1",
    ]  # fmt: skip


def test_help_states_defaults_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("tissue", "expression", "mutation"):
        with pytest.raises(SystemExit):
            main(["evaluate", task, "--help"])
        told = " ".join(capsys.readouterr().out.split())
        assert "(default: (" not in told
        assert "(default: )" not in told
        assert task == "tissue" or "(default: mean)" in told


def test_help_states_limits_and_passes_over_what_a_task_refuses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {}
    for task in ("mutation", "label", "survival"):
        with pytest.raises(SystemExit):
            main(["evaluate", task, "--help"])
        told[task] = " ".join(capsys.readouterr().out.split())
        assert "(default: 1000; at least 100, at most 100,000)" in told[task]
    assert ["--covariate " in text for text in told.values()] == [True, True, False]
    assert ["--harmonise " in text for text in told.values()] == [True, True, False]


def test_several_names_of_a_flag_are_told_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*OUTCOME, "--store", "s", "--labels", "l", "--head", "logistic"]) == 2
    assert "--head logistic: must be ridge" in capsys.readouterr().err
