"""The numbers on the page of a real evaluation, held against its tables and against each other."""

import re
from datetime import UTC, datetime
from html import unescape
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.report.evaluations import choose_runs
from histo_ray.report.page import render_page
from histo_ray.report.targets.target_counts import LEVEL
from tests.cluster.patients import write_labels, write_store

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ENCODERS = ["dull", "sharp"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two evaluations of one store, and its page."""
    folder = tmp_path_factory.mktemp("numbers")
    store = write_store(folder)
    write_labels(folder)
    settings: dict[str, Any] = {"encoder": ENCODERS, "repeats": 3, "resamples": 200}
    settings["address"] = "none"
    runs = {
        "mutation": hr.evaluate.mutation(store, labels=folder / "mutations.csv", **settings),
        "expression": hr.evaluate.expression(
            store, labels=folder / "expression.csv", permutations=0, **settings
        ),
    }
    return SimpleNamespace(runs=runs, html=render_page(store, choose_runs(store), NOW))


@pytest.fixture(params=["mutation", "expression"])
def run(request: pytest.FixtureRequest, shown: SimpleNamespace) -> SimpleNamespace:
    """One of the two, with a reader of its tables on the page."""
    task = request.param
    result: EvaluationResult = shown.runs[task]
    part = re.search(rf'<h2[^>]*id="{task}.*?(?=<h2|</main|<footer)', shown.html, re.S)
    assert part is not None

    def table(name: str) -> list[list[str]]:
        found = re.search(rf'<table id="{task}-\d+-{name}".*?</table>', shown.html, re.S)
        assert found is not None, name
        rows = found[0].partition("<tbody>")[2].split("<tr")[1:]
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
        return [[unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in row] for row in cells]

    text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part[0])))
    return SimpleNamespace(result=result, table=table, text=text, task=task, html=part[0])


def ends(cell: str) -> tuple[float, float]:
    """Both ends of an interval as it is printed."""
    if cell == "–":
        return np.nan, np.nan
    low, _, high = cell.partition(" to ")
    return float(low), float(high)


def number(cell: str) -> float:
    """A figure as it is printed; nan of a dash."""
    return np.nan if cell == "–" else float(cell.removeprefix("< "))


def comparisons(run: SimpleNamespace) -> pd.DataFrame:
    frame: pd.DataFrame = run.result.comparisons.set_index("target")
    return frame


def test_the_primary_endpoint_is_the_mean_of_the_targets_and_says_the_same_everywhere(
    run: SimpleNamespace,
) -> None:
    (row,) = run.table("endpoints")
    (stored,) = run.result.endpoints.to_dict("records")
    assert row[0] == "sharp against dull"
    assert [float(cell) for cell in row[2:5]] == pytest.approx(
        [stored["score_a"], stored["score_b"], stored["difference"]], abs=6e-4
    )
    assert stored["difference"] == pytest.approx(comparisons(run)["difference"].mean())
    low, high = ends(row[5])
    assert (low, high) == pytest.approx((stored["low"], stored["high"]), abs=6e-4)
    assert (number(row[6]) < LEVEL) == (low > 0 or high < 0)
    (lead,) = re.findall(r"Mean [^.]*? over .*?P [=<] \S+\)\.", run.text)[:1]
    for printed in (*row[2:6], f"P {'' if row[6].startswith('<') else '= '}{row[6]}"):
        assert printed in lead


def test_each_interval_of_a_difference_leaves_out_0_where_its_p_is_small_and_only_there(
    run: SimpleNamespace,
) -> None:
    stored, seen = comparisons(run), 0
    for row in run.table("genes"):
        gene, (difference, interval, p, q) = row[0], row[-4:]
        one = stored.loc[gene]
        assert number(difference) == pytest.approx(one["difference"], abs=6e-4, nan_ok=True)
        if np.isnan(one["p_corrected"]):
            assert (interval, p, q) == ("–", "–", "–")
            continue
        seen += 1
        assert number(p) == pytest.approx(one["p_corrected"], rel=0.06)
        assert (one["p_corrected"] < LEVEL) == (one["low"] > 0 or one["high"] < 0)
        assert ends(interval) == pytest.approx((one["low"], one["high"]), abs=6e-4)
        assert (q == "–") == (not one["q_both"] < LEVEL)
    assert seen


def test_the_sentences_count_what_the_table_shows(run: SimpleNamespace) -> None:
    rows = run.table("genes")
    better = [row[0] for row in rows if number(row[-1]) < LEVEL and number(row[-4]) > 0]
    compared = [row[0] for row in rows if row[-1] != "–"]
    assert compared
    (sentence,) = re.findall(
        r"Of (\d+) [^.]*? that both together predict .*? among these\)", run.text
    )
    assert int(sentence) == len(compared)
    told = re.findall(r"\(q < 0\.05\), (\d+|none)[^.]*? better with sharp", run.text)
    assert told == [str(len(better)) if better else "none"]
    targets = run.result.targets
    for row in run.table("encoders"):
        own = targets[targets["encoder"] == row[0]]
        sure = int((own["q_chance"] < LEVEL).sum())
        assert row[-1] == str(sure)
        assert re.search(rf"With {row[0]}, {sure} of {len(own)} ", run.text)
        assert float(row[2]) == pytest.approx(own["score"].mean(), abs=6e-4)


def test_scores_lie_within_their_intervals(run: SimpleNamespace) -> None:
    targets = run.result.targets.dropna(subset=["low"])
    assert len(targets) >= 4
    assert ((targets["low"] <= targets["score"]) & (targets["score"] <= targets["high"])).all()


def test_the_area_of_a_curve_that_is_drawn_is_the_area_that_is_printed(
    shown: SimpleNamespace,
) -> None:
    targets = shown.runs["mutation"].targets.set_index(["target", "encoder"])["score"]
    told = re.findall(
        r"ROC curves of (\w+), mean over folds.*?Area under the curve: (.*?)\.\s*<",
        shown.html,
        re.S,
    )
    assert {target for target, _ in told} == {"TP53", "KRAS", "EGFR"}
    for target, areas in told:
        for part in areas.split(", "):
            encoder, area = part.split()
            assert float(area) == pytest.approx(targets[target, encoder], abs=6e-4)
