"""`evaluate label` from the label file to predictors: columns of four kinds in one run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import histo_ray as hr
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.cli import main
from histo_ray.errors import ConfigError
from histo_ray.evaluate.columns.label_record import LabelRecord
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.find_run import prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.statistics import adjust_p
from histo_ray.predict.heat.out_of_fold import OutOfFold
from histo_ray.report.evaluations import TargetEvaluation, choose_runs
from histo_ray.report.page_blocks import Table
from histo_ray.report.targets.target_section import _write_rest, split_run
from histo_ray.store.manifest_columns import pack_columns, read_manifest_columns
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow
from tests.cluster.patients import PATIENTS, write_clinical, write_store

COLUMNS = ("subtype", "grade", "response", "age")
QUICK: dict[str, Any] = {"repeats": 1, "folds": 3, "inner_folds": 2, "resamples": 100}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A store, its clinical table, and one evaluation of all four columns."""
    folder = tmp_path_factory.mktemp("label")
    store = write_store(folder)
    write_clinical(folder)
    result = hr.evaluate.label(
        store,
        labels=str(folder / "clinical.csv"),
        column=COLUMNS,
        kind=("grade=ordinal",),
        encoder=("dull", "sharp"),
        **QUICK,
    )
    return SimpleNamespace(store=store, labels=str(folder / "clinical.csv"), result=result)


def test_scores_of_one_kind_are_called_by_its_name(made: SimpleNamespace) -> None:
    record = made.result.record
    task = TASKS["label"]
    assert isinstance(task, PatientTask)
    words = task.choose_words(record.take_part("binary"))
    assert (words.title, words.metric, words.chance) == ("Labels", "AUROC", 0.5)
    assert task.choose_words(record).metric == "score"  # of several kinds


def test_what_was_selected_is_counted_kind_by_kind(made: SimpleNamespace) -> None:
    (run,) = choose_runs(made.store, ()).runs
    assert isinstance(run, TargetEvaluation)
    heads = []
    for part in split_run(run):
        blocks = [one for one in _write_rest(part, "n") if isinstance(one, Table)]
        (table,) = (one for one in blocks if "were selected" in one.caption)
        heads.append({row[2] for row in table.rows})
    assert heads == [{"logistic"}, {"logistic"}, {"logistic"}, {"ridge"}]


def test_settings_of_mil_without_its_head_are_refused(made: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="--mil members=1: has no say without --head mil"):
        hr.evaluate.label(
            made.store, labels=made.labels, column="age", encoder="sharp", mil="members=1"
        )


def test_each_column_has_a_row_with_the_score_of_its_kind(made: SimpleNamespace) -> None:
    targets = made.result.targets
    assert len(targets) == 2 * len(COLUMNS)
    metrics = targets.drop_duplicates("target").set_index("target")["metric"]
    assert metrics.to_dict() == {
        "response": "auroc", "subtype": "macro_auroc", "grade": "spearman", "age": "pearson",
    }  # fmt: skip
    known = targets.set_index(["target", "encoder"])
    assert known.loc[("grade", "sharp"), "kappa"] > 0
    assert np.isnan(known.loc[("age", "sharp"), "balanced_accuracy"])
    assert known.loc[("grade", "sharp"), "n_patients"] == 59
    assert known.loc[("age", "sharp"), "n_patients"] == 51
    assert (targets["low"] < targets["score"]).all()
    assert (targets["score"] < targets["high"]).all()
    assert (known.xs("sharp", level="encoder")["p_chance"] < 0.05).any()


def test_q_is_over_all_columns_whatever_their_kinds(made: SimpleNamespace) -> None:
    for _, own in made.result.targets.groupby("encoder"):
        np.testing.assert_allclose(own["q_chance"], adjust_p(own["p_chance"].to_numpy()))
    pairs = made.result.comparisons
    assert pairs["target"].tolist() == ["response", "subtype", "grade", "age"]
    np.testing.assert_allclose(pairs["q_corrected"], adjust_p(pairs["p_corrected"].to_numpy()))
    among = pairs["q_both"] < 0.05
    assert pairs["q_found"].notna().tolist() == among.tolist()


def test_probabilities_of_the_classes_of_a_patient_add_up_to_one(made: SimpleNamespace) -> None:
    rows = made.result.predictions
    classes = rows[rows["class"] != ""]
    assert set(classes["target"]) == {"subtype", "grade"}
    sums = classes.groupby(["target", "encoder", "repeat", "patient_id"])[["predicted", "truth"]]
    np.testing.assert_allclose(sums.sum(), 1, atol=1e-5)
    grade = classes[classes["target"] == "grade"]
    assert (grade.loc[grade["class"] == "1", "head_output"] == 1).all()
    plain = rows[rows["class"] == ""]
    np.testing.assert_array_equal(plain["predicted"], plain["head_output"])
    assert made.result.table("classes")["class"].nunique() == 6
    assert made.result.table("confusion").groupby(["target", "encoder"])[
        "n_patients"
    ].sum().round().tolist() == [59, 59, 60, 60]


def test_the_record_says_what_each_column_holds(made: SimpleNamespace) -> None:
    record = made.result.record
    assert isinstance(record, LabelRecord)
    by_name = {column.name: column for column in record.columns}
    assert by_name["response"].classes == ("non-responder", "responder")
    assert by_name["grade"].classes == ("1", "2", "3")
    assert sum(by_name["grade"].counts) == 59
    assert by_name["age"].counts == (51,)
    assert set(record.parts) == {"binary", "multiclass", "ordinal", "continuous"}
    assert record.labels.targets == len(COLUMNS)
    assert record.summary["sharp"].mean_score is None  # scores of several scales have no mean


def test_folds_of_a_run_can_be_given_to_another(made: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    made.result.folds.to_parquet(path)
    again = hr.evaluate.label(
        made.store,
        labels=made.labels,
        column=("grade", "age"),
        kind=("grade=ordinal",),
        encoder=("dull", "sharp"),
        fold_file=str(path),
        **QUICK,
    )
    assert isinstance(again, EvaluationResult)
    keys = ["target", "encoder", "repeat", "patient_id", "class"]
    old = made.result.predictions.set_index(keys)["predicted"]
    new = again.predictions.set_index(keys)["predicted"]
    np.testing.assert_array_equal(new, old.loc[new.index])


def test_heads_of_one_class_are_had_again_for_heat_maps(made: SimpleNamespace) -> None:
    prepared = prepare_again(made.store, made.result.record, Host(run_here))
    assert prepared.outputs[:4] == (
        "response", "subtype: basal", "subtype: her2", "subtype: luminal",
    )  # fmt: skip
    for target in ("grade: 3 or higher", "subtype: her2", "response", "age"):
        heads = OutOfFold(prepared, target, "sharp")
        assert heads.heads_of(PATIENTS[12], most=1).count == 1  # which checks its prediction
    with pytest.raises(ConfigError, match="--target grade: not in run"):
        OutOfFold(prepared, "grade", "sharp")


def test_a_predictor_is_of_one_kind_and_calls_one_class(made: SimpleNamespace) -> None:
    given: dict[str, Any] = {"labels": made.labels, "encoder": ("sharp",), **QUICK}
    with pytest.raises(ConfigError, match=r"several kinds \(multiclass: subtype; continuous: age"):
        hr.fit.label(made.store, name="both", column=("subtype", "age"), **given)
    fitted = hr.fit.label(made.store, name="grades", column=("grade",), kind=("ordinal",), **given)
    names = [target.name for target in fitted.card.targets]
    assert names == ["grade: 2 or higher", "grade: 3 or higher"]
    assert fitted.card.targets[0].classes == ("1", "2", "3")
    subtypes = hr.fit.label(made.store, name="subtypes", column=("subtype",), **given)
    raw = np.random.default_rng(0).random((9, 3))
    calibrated = subtypes.fitted.calibrate(raw)
    np.testing.assert_allclose(calibrated.sum(1), 1)
    calls = subtypes.fitted.call(raw)
    np.testing.assert_array_equal(calls.argmax(1), calibrated.argmax(1))
    assert (calls.sum(1) == 1).all()


def test_other_patients_are_ranked_by_probabilities_of_a_class_that_add_up_to_1(
    made: SimpleNamespace, tmp_path: Path
) -> None:
    """As the cross-validated ones do, so that both AUROCs can be compared."""
    table = pd.read_csv(made.labels)
    table.iloc[: 2 * len(table) // 3].to_csv(tmp_path / "some.csv", index=False)
    fitted = hr.fit.label(
        made.store, name="part", column=("subtype",), labels=str(tmp_path / "some.csv"),
        encoder=("sharp",), **QUICK,
    )  # fmt: skip
    found = fitted.predict(made.store, labels=made.labels)
    raw = found.patients.pivot(index="patient_id", columns="target", values="raw")
    settled = raw.div(raw.sum(axis=1), axis=0)
    truth = table.set_index("patient_id")["subtype"].reindex(raw.index).dropna()
    assert 10 < len(truth) < 30
    areas = found.validation.query("metric == 'auroc' and column == ''").set_index("target")
    assert len(areas) == 3
    ranks_differ = False
    for name, score in areas["score"].items():
        positive = truth == str(name).removeprefix("subtype: ")
        assert score == pytest.approx(roc_auc_score(positive, settled.loc[truth.index, name]))
        plain = roc_auc_score(positive, raw.loc[truth.index, name])
        ranks_differ |= bool(abs(plain - score) > 1e-9)
    assert ranks_differ  # so that ranking by the raw outputs would have been seen


def test_what_nobody_can_tell_is_asked_with_exit_code_2(
    made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--store", made.store, "--labels", made.labels, "--encoder", "sharp"]
    assert main(["evaluate", "label", *flags, "--column", "grade", "--address", "none"]) == 2
    assert "say which with --kind grade=ordinal" in capsys.readouterr().err
    ridge = ["--column", "subtype", "--head", "ridge", "--address", "none"]
    assert main(["evaluate", "label", *flags, *ridge]) == 2
    assert "none of it predicts multiclass columns" in capsys.readouterr().err


def test_columns_of_the_manifest_are_labels_where_no_file_is_given(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    store = open_store(path)
    slides = store.slides().drop_duplicates("slide_id")
    rows = [
        RunRow(
            slide, "sharp", Outcome.DONE, "", 9, 0.0, patient,
            manifest=pack_columns({"arm": "AB"[at % 2], "n": 3.0, "gone": None, "synthetic": ""}),
        )
        for at, (slide, patient) in enumerate(
            zip(slides["slide_id"], slides["patient_id"], strict=True)
        )
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="keeps no further columns of its manifest"):
        hr.evaluate.label(path, column=("arm",), encoder=("sharp",), **QUICK)
    store.write_run("20260101T000000-a", rows, None)
    first = read_manifest_columns(store.root)[rows[0].slide_id]
    assert first == {"arm": "A", "n": "3"}
    result = hr.evaluate.label(path, column=("arm",), encoder=("sharp",), **QUICK)
    assert result.targets["target"].tolist() == ["arm"]
    record = result.record
    assert isinstance(record, LabelRecord)
    assert record.labels.path == "the store's manifest"
    several = [text for text in record.labels.notes if "arm" in text]
    assert several[-1].startswith("column arm: binary (two different values; positive is")
