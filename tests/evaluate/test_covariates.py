"""Covariates: a baseline of their own, images beyond them, and what the difference means."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.api.evaluate import evaluate
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.page import write_report
from histo_ray.report.record_words import describe_record
from tests.cluster.patients import COUNT, PATIENTS, write_labels, write_store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("covariates")
    write_store(folder)
    write_labels(folder)
    state = np.load(folder / "state.npy")
    rng = np.random.default_rng(3)
    age = 60 + 10 * state + rng.normal(size=COUNT)  # knows all that images know of the state
    clinical = pd.DataFrame({"patient_id": PATIENTS, "Age": age.round(1)})
    clinical["stage"] = np.where(rng.random(COUNT) < 0.5, "I", "II")
    clinical["luck"] = rng.normal(size=COUNT).round(3)
    clinical.loc[4, "Age"] = np.nan
    clinical.loc[7, "stage"] = None
    clinical["ward"] = [f"ward {number}" for number in range(COUNT)]
    clinical["same"] = 1
    clinical["half"] = np.where(np.arange(COUNT) % 2, 1.0, np.nan)
    clinical.to_csv(folder / "clinical.csv", index=False)
    return folder


def run(place: Path, task: str, **settings: Any) -> EvaluationResult:
    labels = {"expression": "expression.csv", "mutation": "mutations.csv"}.get(task, "")
    config = TASKS[task].config.model_validate(
        {"store": str(place / "store"), "labels": str(place / labels), "encoder": ("sharp",),
         "resamples": 100, "address": "none", "repeats": 2, "folds": 4,
         "covariate_file": str(place / "clinical.csv")} | settings
    )  # fmt: skip
    return evaluate(TASKS[task], config)


@pytest.fixture(scope="module")
def weak(place: Path) -> EvaluationResult:
    """Images know the state, covariates do not."""
    return run(place, "expression", covariate=("luck", "stage"), permutations=0)


def test_rows_of_covariates_stand_beside_encoders(weak: EvaluationResult) -> None:
    rows = weak.targets["encoder"].unique().tolist()
    assert rows == ["sharp", "covariates", "sharp + covariates"]
    assert weak.comparisons.empty
    assert weak.record.covariates.columns == (  # type: ignore[attr-defined]
        "luck", "stage = I", "stage = II", "stage missing",
    )  # fmt: skip
    same = weak.predictions.groupby("encoder")["patient_id"].apply(lambda ids: sorted(ids))
    assert same["covariates"] == same["sharp"] == same["sharp + covariates"]


def test_images_add_what_covariates_do_not_know(weak: EvaluationResult) -> None:
    table = weak.table("added_value").set_index("target")
    assert (table["encoder"] == "sharp").all()
    assert table["p_added"]["G0"] < 0.001
    assert table["difference"]["G0"] > 0.5
    assert ((table["p_added"] < 0.05) == (table["partial_low"] * table["partial_high"] > 0)).all()
    scores = weak.targets.set_index(["encoder", "target"])["score"]
    np.testing.assert_allclose(
        table["difference"]["G0"],
        scores["sharp + covariates", "G0"] - scores["covariates", "G0"],
    )


def test_images_add_nothing_to_a_covariate_that_knows_the_same(place: Path) -> None:
    found = run(place, "expression", covariate=("age",), permutations=0)
    table = found.table("added_value").set_index("target")
    scores = found.targets.set_index(["encoder", "target"])["score"]
    assert scores["covariates", "G0"] > 0.8
    assert scores["sharp", "G0"] > 0.6
    assert table["p_added"]["G0"] > 0.05
    assert abs(table["difference"]["G0"]) < 0.05
    notes = " ".join(found.record.cohort.notes)  # type: ignore[attr-defined]
    assert "covariate age of" in notes
    assert "missing in 1 patient" in notes


def test_classes_are_trained_with_an_offset(place: Path) -> None:
    found = run(place, "mutation", covariate=("luck",), genes=_genes(place), repeats=1, folds=3)
    table = found.table("added_value").set_index("target")
    assert table["score_both"]["TP53"] > 0.8
    assert table["partial"]["TP53"] > 0.3
    predicted = found.predictions["predicted"]
    assert predicted.between(0, 1).all()
    lines = "\n".join(describe_record(found.record))
    assert "Images of sharp add to luck for" in lines


def test_columns_of_labels_take_covariates_where_they_are_numbers_or_two_classes(
    place: Path, tmp_path: Path
) -> None:
    clinical = pd.read_csv(place / "clinical.csv")
    state = np.load(place / "state.npy")
    rng = np.random.default_rng(5)
    clinical["size"] = (state + 0.5 * rng.normal(size=COUNT)).round(3)
    clinical["answer"] = np.where(state + 0.5 * rng.normal(size=COUNT) > 0, "yes", "no")
    clinical["kind"] = np.array(["a", "b", "c"])[np.digitize(state, [-0.4, 0.4])]
    clinical.to_csv(place / "more.csv", index=False)
    settings: dict[str, Any] = {
        "labels": str(place / "more.csv"), "column": ("kind", "answer", "size"),
        "covariate": ("luck",), "repeats": 1, "folds": 3, "inner_folds": 2,
    }  # fmt: skip
    found = run(place, "label", **settings)
    table = found.table("added_value").set_index("target")
    assert set(table.index) == {"answer", "size"}
    assert (table["difference"] > 0.2).all()
    assert set(found.targets.query("target == 'kind'")["encoder"]) == {"sharp"}
    assert found.comparisons.empty
    assert found.record.covariates.names == ("luck",)  # type: ignore[attr-defined]
    lines = "\n".join(describe_record(found.record))
    assert "mean AUROC" in lines.split("Images of sharp add to luck")[1]
    assert "mean correlation" in lines.split("Images of sharp add to luck")[2]
    page = write_report(str(place / "store"), tmp_path / "r.html", [found.record.run_id])
    assert "Do images add to what is known?" in page.read_text()
    with pytest.raises(ConfigError, match="numbers or of two classes"):
        run(place, "label", **settings | {"column": ("kind",)})


def test_the_page_asks_whether_images_add(
    place: Path, weak: EvaluationResult, tmp_path: Path
) -> None:
    store = str(place / "store")
    page = write_report(store, tmp_path / "r.html", [weak.record.run_id]).read_text()
    assert "Do images add to what is known?" in page
    assert "Images of sharp add to luck, stage for" in page


def test_names_of_runs_know_covariates(place: Path, weak: EvaluationResult) -> None:
    again = run(place, "expression", covariate=("luck", "stage"), permutations=0)
    assert again.record.run_id == weak.record.run_id
    config = TASKS["expression"].config.model_validate(
        {"store": "s", "labels": "l", "encoder": ("a",)}
    )
    assert "covariate" not in config.model_dump(exclude_defaults=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"covariate": ("half",)}, r"the same \(1\.?0?\) in the \d+ of \d+ patients that have one"),
        ({"covariate": ("aeg",)}, "--covariate aeg: there is no such column"),
        ({"covariate": ("ward",)}, "60 different texts"),
        ({"covariate": ("same",)}, "the same"),
        ({"covariate": ("luck",), "head": ("mil",)}, "takes what covariates predict"),
        ({"harmonise": "center", "head": ("mil",)}, "attention heads"),
    ],
)
def test_what_cannot_be_is_said(place: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        run(place, "mutation", **settings)


@pytest.mark.parametrize("settings", [{"covariate": ("luck",)}, {"harmonise": "center"}])
def test_predictors_see_images_alone(place: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="predictor"):
        hr.fit.mutation(
            place / "store", labels=str(place / "mutations.csv"), encoder="sharp", name="no",
            covariate_file=str(place / "clinical.csv"), **settings,
        )  # fmt: skip


def _genes(place: Path) -> str:
    path = place / "one.txt"
    path.write_text("TP53\n")
    return str(path)
