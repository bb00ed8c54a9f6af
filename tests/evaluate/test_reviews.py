"""What reviewers ask of an evaluation: scores by subgroup, what sites tell, calibration."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from histo_ray.api.evaluate import evaluate
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.patients.review_summary import summarise_reviews
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.checklist.sheet import ItemState
from histo_ray.report.checklist.write_checklist import write_checklist
from histo_ray.report.page import write_report
from histo_ray.report.record_words import describe_record
from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from tests.made_up import facts_of

COUNT, DIM = 66, 80  # more numbers than patients: heads are trained quickly
SITES = ("east", "north", "west")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose encoder knows the site, labels that differ by site, and a manifest."""
    folder = tmp_path_factory.mktemp("reviews")
    rng = np.random.default_rng(0)
    site = rng.integers(0, 3, COUNT)
    state = rng.normal(size=COUNT)
    store = open_store(str(folder / "store"), create=True)
    patients = [f"P{number:02d}" for number in range(COUNT)]
    for number, patient in enumerate(patients):
        vector = rng.normal(size=DIM) + 0.5 * state[number]
        vector[:3] += 4 * (site[number] == np.arange(3))
        facts = facts_of(
            f"{patient}-S", "sharp", "t0", DIM, patient_id=patient, site=SITES[site[number]]
        )
        ones = np.ones(2, np.float32)
        rows = np.stack([vector, vector]).astype(np.float16)
        coords = np.arange(4, dtype=np.int32).reshape(2, 2)
        store.commit(facts.key, facts, [TileRows(coords, ones, ones, rows)])
    table = pd.DataFrame({"patient_id": patients})
    table["TP53"] = (state + rng.normal(size=COUNT) > 0).astype(int)
    table["KRAS"] = (site + rng.normal(size=COUNT) > 1).astype(int)
    table.assign(sex=np.where(np.arange(COUNT) % 2, "male", "female")).to_csv(
        folder / "mutations.csv", index=False
    )
    (folder / "genes.txt").write_text("TP53\nKRAS\n")
    manifest = pd.DataFrame({"slide_id": [f"{p}-S" for p in patients], "patient_id": patients})
    manifest.assign(path="a.svs", stage=rng.choice(["I", "II"], COUNT), one="same").to_csv(
        folder / "manifest.csv", index=False
    )
    return folder


def settings_of(place: Path, **changes: object) -> dict[str, object]:
    return {
        "store": str(place / "store"), "labels": str(place / "mutations.csv"),
        "genes": str(place / "genes.txt"), "encoder": ("sharp",), "repeats": 2,
        "resamples": 100, "address": "none",
    } | changes  # fmt: skip


def run(place: Path, **changes: object) -> EvaluationResult:
    task = TASKS["mutation"]
    return evaluate(task, task.config.model_validate(settings_of(place, **changes)))


@pytest.fixture(scope="module")
def result(place: Path) -> EvaluationResult:
    return run(place, subgroup=("sex",))


@pytest.fixture(scope="module")
def record(result: EvaluationResult) -> PatientRecord:
    assert isinstance(result.record, PatientRecord)
    return result.record


def test_sites_come_by_themselves_and_columns_as_asked(result: EvaluationResult) -> None:
    table = result.subgroups
    assert table["column"].unique().tolist() == ["site", "sex"]
    assert set(table[table["column"] == "site"]["group"]) == set(SITES)
    cohort = result.cohort
    sizes = cohort[cohort["used"]].groupby("site").size().to_dict()
    own = table[(table["column"] == "site") & (table["target"] == "TP53")]
    assert dict(zip(own["group"], own["n_patients"], strict=True)) == sizes
    known = own.dropna()
    assert ((known["low"] < known["score"]) & (known["score"] < known["high"])).all()


def test_scores_of_groups_follow_from_the_predictions_table(result: EvaluationResult) -> None:
    rows = result.predictions
    rows = rows[rows["target"] == "TP53"]
    sex = pd.read_csv(result.record.labels.path)[["patient_id", "sex"]]  # type: ignore[attr-defined]
    rows = rows.merge(sex, on="patient_id")
    pairs = rows.merge(rows, on=["repeat", "fold", "sex"])
    pairs = pairs[(pairs["truth_x"] == 1) & (pairs["truth_y"] == 0) & (pairs["sex"] == "male")]
    above = (pairs["predicted_x"] > pairs["predicted_y"]).mean()
    table = result.subgroups
    own = table[(table["target"] == "TP53") & (table["group"] == "male")]
    assert own["score"].item() == pytest.approx(above)


def test_an_encoder_that_tells_the_site_is_named(
    result: EvaluationResult, record: PatientRecord
) -> None:
    table = result.site_prediction
    overall = table[(table["site"] == "") & (table["metric"] == "auroc")]
    assert overall["score"].item() > 0.85
    (told,) = [one for one in record.caveats if one.code is CaveatCode.SITE_TOLD]
    assert told.names("encoders")[0].startswith("sharp at AUROC ")
    means = result.site_means.set_index("target")["score"]
    assert means["KRAS"] > 0.65 > means["TP53"]
    lines = "\n".join(describe_record(record))
    assert "sharp tells the site of 66 patients of 3 sites at a mean AUROC of " in lines
    assert "By the site alone, KRAS is predicted at AUROC 0." in lines
    assert "By sex, AUROC (mean over genes) with sharp lies between 0." in lines


def test_calibration_and_decision_curves_are_tables(result: EvaluationResult) -> None:
    assert result.calibration.groupby("target")["metric"].nunique().tolist() == [4, 4]
    assert len(result.decision_curves) == 2 * 99
    assert set(result.calibration_curves["target"]) == {"TP53", "KRAS"}


def test_columns_of_the_manifest_make_groups(place: Path) -> None:
    found = run(place, subgroup=("stage",), subgroup_file=str(place / "manifest.csv"))
    assert {"I", "II"} < set(found.subgroups["group"])


def test_only_subgroups_that_are_asked_for_make_another_run(
    place: Path, result: EvaluationResult
) -> None:
    plain = run(place)
    assert plain.folder != result.folder
    assert set(plain.subgroups["column"]) == {"site"}
    again = run(place, subgroup=("site",))  # which is there anyway
    assert again.folder == plain.folder


def test_the_site_check_can_be_switched_off(place: Path) -> None:
    found = run(place, site_check=False)
    with pytest.raises(StoreError, match="no such table"):
        _ = found.site_prediction
    assert isinstance(found.record, PatientRecord)
    assert found.record.review.sites == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"subgroup": ("colour",)}, "--subgroup colour: .* no such column"),
        (
            {"subgroup": ("one",), "subgroup_file": "manifest.csv"},
            "one value .same. .* name a column by which they differ",
        ),
        ({"subgroup": ("sex",), "subgroup_file": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_a_column_that_makes_no_groups_is_refused(
    place: Path, changes: dict[str, object], told: str
) -> None:
    if "subgroup_file" in changes:
        changes = changes | {"subgroup_file": str(place / str(changes["subgroup_file"]))}
    with pytest.raises(ConfigError, match=told):
        run(place, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"subgroup_file": "x.csv"}, "only with subgroup"),
        ({"subgroup": ("a",), "subgroup_id_column": "id"}, "only with subgroup_file"),
        ({"subgroup": ("a", "a")}, "twice"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    place: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        TASKS["mutation"].config.model_validate(settings_of(place, **changes))


def test_the_page_and_sql_show_them(place: Path, result: EvaluationResult, tmp_path: Path) -> None:
    run_id = result.record.run_id
    page = write_report(str(place / "store"), tmp_path / "page.html", [run_id]).read_text()
    for title in ("By site and subgroup", "Site", "Calibration and net benefit"):
        assert f">{title}</h2>" in page
    table = result.subgroups
    best = table[(table["group"] == "male") & (table["target"] == "TP53")]
    assert f"{best['score'].item():.3f}" in page
    store = open_store(str(place / "store"))
    counts = store.sql(
        "select (select count(*) from subgroups), (select count(*) from decision_curves), "
        "(select count(distinct site) from site_prediction), (select count(*) from site_means), "
        "(select count(*) from calibration), (select count(*) from calibration_curves)"
    )
    (row,) = counts.fetchall()
    assert all(count > 0 for count in row)


def test_the_checklist_is_filled_with_values(
    place: Path, result: EvaluationResult, tmp_path: Path
) -> None:
    made = write_checklist(str(place / "store"), tmp_path / "r.html", [result.record.run_id])
    rows = {row.item.number: row for row in made.sheet.rows}
    assert len(rows) == 52
    assert [made.page.name, made.markdown.name, made.table.name] == [
        "r-tripod-ai.html", "r-tripod-ai.md", "r-tripod-ai.csv",
    ]  # fmt: skip
    assert rows["17"].state is ItemState.GAP
    assert rows["12f"].state is ItemState.NOT_APPLICABLE
    assert rows["12a"].state is ItemState.FILLED
    targets = result.targets.set_index("target")
    told = " ".join(rows["23a"].facts)
    for gene in ("TP53", "KRAS"):
        one = targets.loc[gene]
        assert f"{gene} {one['score']:.3f} (95 % interval {one['low']:.3f} to" in told
    assert "3 sites (patients)" in rows["6a"].facts[0]
    positives = int(targets["positives"]["TP53"])
    assert f"TP53 {positives} of 66" in " ".join(rows["10"].facts)
    text = made.markdown.read_text()
    assert text.count("**TO FILL IN:**") == sum(bool(row.question) for row in made.sheet.rows)
    page = made.page.read_text()
    assert page.count("<article") == 52
    table = pd.read_csv(made.table)
    assert table["item"].tolist() == list(rows)
    assert table["state"].value_counts()["to fill in"] == made.sheet.count(ItemState.GAP)


def test_groups_are_ranked_by_means_of_the_same_targets() -> None:
    shared = {"column": "site", "encoder": "e", "target": "", "n_patients": 20}
    means = {"A": (0.7, 2), "B": (1.0, 1), "C": (0.8, 2), "D": (float("nan"), 0)}
    rows = [
        shared | {"group": name, "score": score, "n_targets": count}
        for name, (score, count) in means.items()
    ]
    found = summarise_reviews({"subgroups": pa.Table.from_pylist(rows)}).groups
    assert [(one.groups, one.scored, one.compared) for one in found] == [(4, 3, 2)]
    assert found[0].lowest is not None
    assert found[0].highest is not None
    assert (found[0].lowest.group, found[0].highest.group) == ("A", "C")
