"""The page's section on external validation."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo_ray.cli import main
from histo_ray.errors import StoreError
from histo_ray.predict.external.apply import apply_all, make_config
from histo_ray.report.charts.calibration_chart import draw_calibration
from histo_ray.report.charts.chart_style import look_of
from histo_ray.report.external.prediction_words import describe_comparison
from histo_ray.report.external.validations import choose_validations, list_validations
from histo_ray.report.page import summarise, write_report
from histo_ray.store.store import open_store
from tests.predict.external_store import write_external, write_labels
from tests.predict.made_predictor import make_predictor


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with validations of two predictors, and their comparison."""
    folder = tmp_path_factory.mktemp("page")
    store = write_external(folder / "B")
    labels = write_labels(folder / "b.csv", stage=["I", "II", "III"] * 12)
    config = make_config(["made", "other"], store, {"labels": labels, "subgroup": "stage"})
    apply_all([make_predictor("made"), make_predictor("other")], config)
    return store


def test_the_page_holds_scores_calibration_groups_and_comparison(
    store: str, tmp_path: Path
) -> None:
    page = write_report(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert not re.search(r"(?:src|href)=\"https?:", page)
    assert "<h1>External validation</h1>" in page
    for text in (
        "made, external validation on 36 patients: median AUROC over 2 targets",
        "0.900 by cross-validation where it was fitted",
        "Calibration: observed against predicted",
        "By site and subgroup",
        "Predictors compared on the same 36 patients",
        "research use only",
    ):
        assert text in page, text
    assert page.count("Calibration of ALPHA: observed against predicted") == 2
    cells = re.findall(r"<t[dh][^>]*>([^<]*)<", page)
    assert {"stage", "III", "HD", "MA"} <= set(cells)
    assert "patients from column patient_id" not in page.partition("<section")[0]


def test_the_terminal_says_it_too(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    findings = summarise(store)
    assert [finding.task for finding in findings] == [
        "external validation of made", "external validation of other",
    ]  # fmt: skip
    assert main(["report", store, "--out", f"{store}/report.html"]) == 0
    assert findings[0].sentence in capsys.readouterr().out


def test_the_checklist_of_validations_is_that_of_an_evaluation(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["report", store, "--out", str(tmp_path / "report.html"), "--no-heatmaps"]
    assert main([*out, "--checklist", "tripod-ai", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [Path(path).suffix for path in said["checklist"]] == [".html", ".md", ".csv"]
    table = pd.read_csv(said["checklist"][2], dtype=str).set_index("item")
    scores = open_store(store).sql(
        "select score from external_scores where predictor = 'made' and target = 'ALPHA' "
        "and metric = 'auroc' and \"column\" = ''"
    )
    ((score,),) = scores.fetchall()
    assert f"ALPHA {score:.3f} (95 % interval" in table["known"]["23a"]
    assert "By stage: ALPHA, I (n 12)" in table["known"]["23b"]
    assert table["state"]["12a"] == "does not apply"
    assert table["state"]["12g"] == "filled"
    assert "predictor made" in table["known"]["12g"]
    assert main([*out, "--checklist", "stard"]) == 2
    assert "must be tripod-ai" in capsys.readouterr().err


def test_one_validation_can_be_named_and_a_damaged_one_is_passed_over(
    store: str, tmp_path: Path
) -> None:
    root = open_store(store).root
    (run, folder), *_ = [one for one in list_validations(root) if one[0].startswith("validate-")]
    chosen = choose_validations(root, [run])
    assert [one.record.run_id for one in chosen.validations] == [run]
    assert chosen.comparison is None
    with pytest.raises(StoreError, match=r"--run validate-0: .* holds no such evaluation"):
        write_report(store, tmp_path / "report.html", ["validate-0"])
    path = Path(store) / folder / "scores.parquet"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-20])
        found = choose_validations(root)
        assert len(found.validations) == 1
        assert any("scores.parquet is damaged" in text for text in found.problems)
    finally:
        path.write_bytes(whole)


def test_a_calibration_plot_says_in_words_what_it_shows() -> None:
    curve = np.array([[0.1, 0.4, 0.9], [0.2, 0.5, 0.7], [0.1, 0.3, 0.5], [0.4, 0.7, 0.9]])
    svg = str(draw_calibration("TP53", {"p": curve}, look_of(["p"]), "c"))
    assert "p: observed 0.20 where 0.10 was predicted, up to 0.70 where 0.90 was." in svg
    wide = str(draw_calibration("CD8A", {"p": 40 * curve}, look_of(["p"]), "c", None))
    assert ">30<" in wide or ">20<" in wide


def test_a_comparison_counts_what_is_sure() -> None:
    row = {
        "predictor_a": "a", "predictor_b": "b", "metric": "auroc", "target": "T", "score_a": 0.6,
        "score_b": 0.8, "difference": 0.2, "low": 0.1, "high": 0.3, "p": 0.001, "q": 0.002,
    }  # fmt: skip
    table = pd.DataFrame([row, {**row, "target": "U", "difference": -0.1, "q": 0.4}])
    first, second, third = describe_comparison(table)
    assert first.startswith("b against a, AUROC: better in 1 and worse in 0 of 2 targets")
    assert second == "  T: +0.200 (+0.100 to +0.300), q 0.002"
    assert third.startswith("  U: -0.100")
