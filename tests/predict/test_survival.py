"""A predictor of survival, from a fit in one store to a validation in another."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.api.predictor import Predictor
from histo_ray.learn.calibration import Calibration, CalibrationMethod, fit_calibration
from histo_ray.learn.statistics import kaplan_meier
from histo_ray.predict.fitting.describe_patients import choose_method
from histo_ray.report.page import write_report
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import sign_times, split_times
from tests.predict.external_store import COUNT, PEOPLE, write_external
from tests.predict.made_predictor import make_bags, pool_mean

FITTED_ON = tuple(f"A{at:02d}" for at in range(60))
SETTINGS: dict[str, Any] = {
    "encoder": "sharp",
    "time": "months",
    "event": "died",
    "time_unit": "months",
}


def write_times(path: Path, people: tuple[str, ...], seed: int, bags_seed: int) -> None:
    risk = 2.0 * pool_mean(make_bags(len(people), seed=bags_seed))[:, 0]
    rng = np.random.default_rng(seed)
    times = rng.exponential(20 * np.exp(-risk + risk.mean()))
    seen = rng.uniform(10, 90, len(people))
    frame = pd.DataFrame({"patient_id": people, "months": np.minimum(times, seen) + 0.01})
    frame["died"] = (times <= seen).astype(int)
    frame.to_csv(path, index=False)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survival")
    write_external(folder / "A", FITTED_ON, make_bags(len(FITTED_ON), seed=3))
    write_external(folder / "B")
    write_times(folder / "a.csv", FITTED_ON, 0, 3)
    write_times(folder / "b.csv", PEOPLE, 1, 8)
    return folder


@pytest.fixture(scope="module")
def predictor(here: Path) -> Predictor:
    return hr.fit.survival(
        here / "A", labels=here / "a.csv", name="os", folds=3, repeats=2, times=(12, 24, 36),
        **SETTINGS,
    )  # fmt: skip


def test_its_card_has_a_baseline_hazard_by_which_survival_is_predicted(
    here: Path, predictor: Predictor
) -> None:
    (target,) = predictor.card.targets
    assert predictor.card.kind == "survival"
    assert (target.metric, target.calibration.at) == ("c_index", 24)
    assert (target.score or 0.0) > 0.6
    assert (np.diff(target.calibration.hazard) > 0).all()
    found = predictor.predict(here / "B")
    own = found.patients.set_index("patient_id")
    assert own.calibrated.between(0, 1).all()
    assert own.sort_values("raw").calibrated.is_monotonic_increasing
    table = pd.read_parquet(here / "B" / found.folder / "survival.parquet")
    wide = table.pivot(index="patient_id", columns="time", values="survival")
    assert wide.columns.to_numpy(float).tolist() == [12, 24, 36]
    assert (wide[12] >= wide[24]).all()
    np.testing.assert_allclose(1 - wide[24], own.calibrated.loc[wide.index])
    assert set(wide.index) == set(PEOPLE)


def test_it_is_validated_elsewhere_by_c_index_and_calibration_at_its_time(
    here: Path, predictor: Predictor
) -> None:
    renamed = pd.read_csv(here / "b.csv").rename(columns={"months": "fu", "died": "dead"})
    renamed.to_csv(here / "renamed.csv", index=False)
    found = predictor.predict(
        here / "B", labels=str(here / "renamed.csv"), endpoint=("died=fu,dead",)
    )
    scores = found.validation[found.validation.column == ""].set_index("metric")
    assert scores.score["c_index"] > 0.6
    assert scores.low["c_index"] < scores.score["c_index"] < scores.high["c_index"]
    assert scores.trained["c_index"] == predictor.card.targets[0].score
    assert scores.low["calibration_slope"] < 1.5
    assert scores.low["observed_expected"] < 1.3
    assert 0 < scores.score["brier"] < 0.25
    assert scores.n_patients["c_index"] == COUNT
    page = write_report(str(here / "B"), here / "page.html").read_text()
    assert "observed / expected" in page
    assert "times of the labels are taken to be in months, as those that os was fitted on" in page


def test_calibration_brings_predictions_to_what_happened() -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=600)
    times = rng.exponential(10 * np.exp(-0.5 * risk))
    signed = sign_times(np.minimum(times, 15), times < 15)
    found = fit_calibration(CalibrationMethod.COX, 3 * risk, signed)  # three times too extreme
    assert found.slope == pytest.approx(0.5 / 3, rel=0.2)
    survival = found.survive(3 * risk, [5.0])[:, 0]
    for half in (risk > 0, risk <= 0):
        observed = float(kaplan_meier(*split_times(signed[half])).at(5.0))
        assert survival[half].mean() == pytest.approx(observed, abs=0.04)
    assert Calibration.model_validate(found.model_dump(mode="json")) == found
    assert found.read_at((9, 3, 6)).at == 6
    worse = fit_calibration(CalibrationMethod.COX, -risk, signed)
    assert worse.slope == 0


def test_other_calibrations_are_refused() -> None:
    assert choose_method("auto", TargetKind.SURVIVAL) is CalibrationMethod.COX
    assert choose_method("none", TargetKind.SURVIVAL) is CalibrationMethod.NONE
    for asked, kind in (("platt", TargetKind.SURVIVAL), ("cox", TargetKind.BINARY)):
        with pytest.raises(hr.ConfigError, match=f"--calibration {asked}: is not for {kind.value}"):
            choose_method(asked, kind)


def test_tiles_have_a_risk_by_heads_that_did_not_see_the_patient(
    here: Path, predictor: Predictor
) -> None:
    run = predictor.card.evaluation.run_id
    found = hr.heatmap(here / "A", run=run, target="died", slide="A01-0")
    assert len(found.tiles)
    assert np.isfinite(found.tiles["score"]).all()
