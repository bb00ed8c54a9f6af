"""Leave-one-site-out: every site is tested once, by heads that saw none of its patients."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from histo_ray.api.evaluate import evaluate
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.cohort.join import join_cohort
from histo_ray.cohort.patient_exclusions import PatientExclusion
from histo_ray.cohort.site_folds import draw_site_folds, exclude_siteless
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.labels.label_table import LabelTable
from histo_ray.learn.targets.site_scores import fisher_interval
from histo_ray.report.page import write_report
from histo_ray.report.record_words import describe_record
from histo_ray.types import TargetKind
from tests.cluster.patients import write_labels, write_store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites")
    write_store(folder)
    write_labels(folder)
    table = pd.read_csv(folder / "mutations.csv")
    site = table["patient_id"].str.split("-").str[1]
    table.loc[site == "03", "KRAS"] = 0  # a site with one class
    table.to_csv(folder / "mutations.csv", index=False)
    return folder


def run(place: Path, task: str, labels: str, **settings: Any) -> EvaluationResult:
    config = TASKS[task].config.model_validate(
        {"store": str(place / "store"), "labels": str(place / labels), "encoder": ("sharp",),
         "resamples": 100, "address": "none"} | settings
    )  # fmt: skip
    return evaluate(TASKS[task], config)


@pytest.fixture(scope="module")
def mutation(place: Path) -> EvaluationResult:
    return run(place, "mutation", "mutations.csv", leave_out="site")


def test_every_site_is_the_test_part_once(mutation: EvaluationResult) -> None:
    folds = mutation.folds
    assert folds["repeat"].unique().tolist() == [0]
    assert folds.groupby("fold")["group"].nunique().eq(1).all()
    assert folds.groupby("group")["fold"].nunique().eq(1).all()
    assert folds["fold"].nunique() == 7
    assert mutation.record.folds.n_folds == 7
    assert mutation.record.folds.kept_together == "site"


def test_sites_are_tabulated_and_one_class_has_no_score(mutation: EvaluationResult) -> None:
    table, scores = mutation.table("left_out_sites"), mutation.scores
    assert len(table) == 3 * 7
    kras = table[(table["target"] == "KRAS") & (table["site"] == "03")].iloc[0]
    assert np.isnan([kras["score"], kras["low"], kras["high"]]).all()
    assert (kras["n_patients"], kras["positives"]) == (9, 0)
    tp53 = table[table["target"] == "TP53"].reset_index(drop=True)
    own = scores[scores["target"] == "TP53"].sort_values("fold")
    np.testing.assert_allclose(tp53["score"], own["auroc"], equal_nan=True)
    there = tp53.dropna(subset="low")
    assert len(there) == 6  # one site has a single patient of a class: no interval
    assert ((there["low"] <= there["score"]) & (there["score"] <= there["high"])).all()
    mean = mutation.targets.set_index("target")["score"]["TP53"]
    np.testing.assert_allclose(mean, own["auroc"].mean())


def test_terminal_and_page_say_which_sites_were_left_out(
    place: Path, mutation: EvaluationResult, tmp_path: Path
) -> None:
    lines = "\n".join(describe_record(mutation.record))
    assert "one of 7 sites left out after another, sites kept together" in lines
    assert "Sites that were left out, sharp: from" in lines
    assert "7 of 7 sites that are left out have fewer than 10 patients" in lines
    page = write_report(
        str(place / "store"), tmp_path / "r.html", [mutation.record.run_id]
    ).read_text()
    assert "Sites that were left out" in page
    assert "best genes, site by site" in page


def test_its_folds_serve_as_a_fold_file(place: Path, mutation: EvaluationResult) -> None:
    path = place / "store" / mutation.folder / "folds.parquet"
    again = run(
        place, "mutation", "mutations.csv", fold_file=str(path), keep_together="site", folds=2
    )
    assert again.record.run_id != mutation.record.run_id
    keys = ["target", "patient_id"]
    one, other = (r.predictions.sort_values(keys)["predicted"] for r in (mutation, again))
    np.testing.assert_array_equal(one, other)


def test_numbers_have_fisher_intervals(place: Path) -> None:
    found = run(place, "expression", "expression.csv", leave_out="site", permutations=0)
    table = found.table("left_out_sites")
    row = table[(table["target"] == "G0") & (table["site"] == "04")].iloc[0]
    own = found.predictions.merge(found.folds, left_on="patient_id", right_on="item")
    own = own[(own["target"] == "G0") & (own["group"] == "04")]
    result = stats.pearsonr(own["truth"], own["predicted"])
    interval = result.confidence_interval(0.95)
    np.testing.assert_allclose(row["score"], result.statistic, atol=1e-6)
    np.testing.assert_allclose([row["low"], row["high"]], interval, atol=1e-5)
    assert np.isnan(fisher_interval(np.array([0.9]), np.array([3.0]))[0]).all()


def test_settings_that_contradict_it_are_refused() -> None:
    config = TASKS["mutation"].config
    given = {"store": "s", "labels": "l", "encoder": ("a",), "leave_out": "site"}
    assert getattr(config.model_validate(given), "keep_together") == "site"  # noqa: B009
    for more, told in (({"fold_file": "f"}, "fold_file"), ({"keep_together": "patient"}, "keep")):
        with pytest.raises(ValueError, match=told):
            config.model_validate(given | more)


def test_patients_without_a_site_are_left_out_and_named() -> None:
    values = np.arange(5.0)[:, None]
    names = tuple("ABCDE")
    labels = LabelTable(names, ("G",), values, (), "", "l.csv", (), kind=TargetKind.CONTINUOUS)
    slides = dict.fromkeys(names, 1)
    cohort = join_cohort({"e": names}, slides, {"A": {"x"}, "B": {"y"}, "D": {"x"}}, labels)
    kept = exclude_siteless(cohort)
    assert kept.patients == ("A", "B", "D")
    assert kept.labels.values[:, 0].tolist() == [0, 1, 3]
    reasons = {row.patient_id: row.reason for row in kept.rows}
    assert reasons["C"] == reasons["E"] == PatientExclusion.NO_SITE
    assert reasons["A"] == ""
    assert any("2 patients without a site" in note for note in kept.notes)
    folds = draw_site_folds(kept.groups("site"), 3)
    assert folds.fold_ids.tolist() == [[0, 1, 0]]
    with pytest.raises(ConfigError, match="no site is known"):
        exclude_siteless(join_cohort({"e": names}, slides, {}, labels))
    with pytest.raises(ConfigError, match="all 2 patients are of x"):
        draw_site_folds(["x", "x"], 0)
