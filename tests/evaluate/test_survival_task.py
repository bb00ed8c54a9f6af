"""`evaluate survival` from files to tables, page and terminal, on a cohort with known hazards."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.errors import ConfigError
from histo_ray.learn.statistics import score_concordance
from histo_ray.report.page import write_report
from histo_ray.report.record_words import describe_record
from histo_ray.store.store import open_store
from testing.survival_cohort import PATIENTS, write_cohort

ENDPOINTS = ("OS=os_months,os_status", "PFS=pfs_months,pfs_status")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def result(here: Path) -> EvaluationResult:
    return hr.evaluate.survival(
        here / "store", labels=here / "clinical.csv", endpoint=ENDPOINTS, time_unit="months",
        times=(24, 200), encoder=("dull", "sharp"), repeats=2, folds=4, resamples=100,
    )  # fmt: skip


def test_the_encoder_that_sees_the_risk_is_better_and_only_for_what_follows_it(
    result: EvaluationResult,
) -> None:
    scores = result.targets.set_index(["target", "encoder"]).score
    assert scores["OS", "sharp"] > 0.62
    assert scores["OS", "sharp"] > scores["OS", "dull"]
    assert abs(scores["PFS", "dull"] - 0.5) < 0.12
    assert set(result.targets.metric) == {"c_index"}
    assert result.targets.c_uno.between(0.3, 0.9).all()


def test_the_score_is_the_mean_of_folds_of_what_the_predictions_say(
    result: EvaluationResult,
) -> None:
    rows = result.predictions.query("target == 'OS' and encoder == 'sharp'")
    by_fold = [
        score_concordance(own[["truth"]].to_numpy(float), own[["predicted"]].to_numpy(float))[0]
        for _, own in rows.groupby(["repeat", "fold"])
    ]
    shown = result.targets.query("target == 'OS' and encoder == 'sharp'").score.iloc[0]
    assert shown == pytest.approx(np.mean(by_fold), abs=1e-6)
    table = result.scores.query("target == 'OS' and encoder == 'sharp'")
    assert table.c_index.mean() == pytest.approx(shown, abs=1e-6)
    assert (rows.truth < 0).any()


def test_tables_of_times_and_curves_are_there_and_in_sql(
    here: Path, result: EvaluationResult
) -> None:
    survival, times = result.table("survival"), result.table("survival_times")
    sharp = survival.query("target == 'OS' and encoder == 'sharp'").iloc[0]
    assert sharp.brier < sharp.brier_km
    assert sharp.unit == "months"
    assert sharp.n_patients == PATIENTS
    late = times[times.time == 200]
    assert late.auc.isna().all()  # nobody is followed so long
    early = times.query("time == 24 and target == 'OS' and encoder == 'sharp'").iloc[0]
    assert early.auc > 0.6
    found = open_store(str(here / "store")).sql("select distinct half from survival_curves").df()
    assert sorted(found["half"]) == ["higher", "lower"]
    curves = result.table("survival_curves").query("target == 'OS' and encoder == 'sharp'")
    end = curves[curves.time > 20].groupby("half").survival.first()
    assert end["higher"] < end["lower"]
    start = curves[curves.time == 0].set_index("half")
    assert (start.survival == 1).all()
    assert start.at_risk.sum() == PATIENTS


def test_page_and_terminal_speak_of_endpoints_and_of_follow_up(
    here: Path, result: EvaluationResult
) -> None:
    page = write_report(str(here / "store"), here / "page.html").read_text()
    assert "Survival by out-of-fold risk" in page
    assert "Kaplan-Meier curves of OS by out-of-fold risk with sharp" in page
    assert "time, months" in page
    lines = "\n".join(describe_record(result.record))
    assert "after Benjamini-Hochberg over endpoints" in lines
    assert "median follow-up by reverse Kaplan-Meier: OS " in lines
    assert "OS at 200" in lines
    assert "gene" not in lines


def test_the_unit_and_the_times_name_another_run(here: Path, result: EvaluationResult) -> None:
    other = hr.evaluate.survival(
        here / "store", labels=here / "clinical.csv", endpoint=ENDPOINTS[:1], time_unit="days",
        encoder=("dull",), repeats=1, folds=3, resamples=100,
    )  # fmt: skip
    assert other.record.run_id != result.record.run_id
    assert other.table("survival").unit.tolist() == ["days"]
    assert len(other.table("survival_times")) == 3  # quartiles of the times of events


def test_what_cannot_be_evaluated_is_one_sentence(here: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(here / "clinical.csv")
    frame["os_status"] = 0
    frame.to_csv(tmp_path / "alive.csv", index=False)
    with pytest.raises(ConfigError, match="OS: no event: all patients are censored"):
        hr.evaluate.survival(
            here / "store", labels=tmp_path / "alive.csv", endpoint=ENDPOINTS[:1], encoder="dull"
        )
    with pytest.raises(ConfigError, match="endpoint: none is named"):
        hr.evaluate.survival(here / "store", labels=here / "clinical.csv", encoder="dull")


def test_the_command_of_the_manual_ends_with_its_sentences(here: Path) -> None:
    command = [
        *(sys.executable, "-m", "histo_ray", "evaluate", "survival", "--address", "none"),
        *("--store", str(here / "store"), "--labels", str(here / "clinical.csv")),
        *("--time", "os_months", "--event", "os_status", "--time-unit", "months"),
        *("--encoder", "sharp", "--repeats", "1", "--folds", "3", "--resamples", "100"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "os_status" in done.stdout
    assert "predicted better than chance" in done.stdout
