import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from histo_ray.errors import ConfigError
from histo_ray.learn.statistics import delong_test, place_classes
from histo_ray.learn.statistics.calibration_scores import SlopeGap
from histo_ray.predict.external.apply import apply_all, make_config, predict
from histo_ray.predict.external.prediction_result import PredictionResult
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.report.external.prediction_words import describe_result
from histo_ray.schema import column_names
from tests.predict.external_store import (
    COUNT,
    PEOPLE,
    SITES,
    make_numbers,
    write_external,
    write_labels,
)
from tests.predict.made_predictor import make_bags, make_labels, make_predictor, pool_mean

BAGS = make_bags(COUNT, seed=8)
TRUTH = make_labels(BAGS)
SEX = [("F", "M", "M")[at % 3] for at in range(COUNT)]


@pytest.fixture(scope="module")
def predictor() -> FittedPredictor:
    return make_predictor()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_external(tmp_path_factory.mktemp("validated") / "B")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> str:
    ages = [float(40 + at) for at in range(COUNT)]
    return write_labels(tmp_path_factory.mktemp("labels") / "b.csv", Sex=SEX, age=ages)


@pytest.fixture(scope="module")
def found(store: str, labels: str, predictor: FittedPredictor) -> PredictionResult:
    return predict(predictor, store, labels=labels, subgroup=["sex", "age"])


def score_of(frame: pd.DataFrame, target: str, metric: str, group: str = "") -> Any:
    chosen = (frame.target == target) & (frame.metric == metric)
    if group:
        chosen &= frame.group == group
    (row,) = frame[chosen].itertuples()
    return row


def test_scores_are_those_of_the_patients_with_a_label(found: PredictionResult) -> None:
    scores = found.validation
    assert list(scores) == column_names("external_scores")
    wide = found.patients.pivot(index="patient_id", columns="target", values="raw")
    for at, target in enumerate(("ALPHA", "BETA")):
        there = ~np.isnan(TRUTH[:, at])
        pair = TRUTH[there, at], wide[target].to_numpy()[there]
        auroc = score_of(scores, target, "auroc")
        assert auroc.score == pytest.approx(roc_auc_score(*pair))
        assert score_of(scores, target, "auprc").score == pytest.approx(
            average_precision_score(*pair)
        )
        assert (auroc.n_patients, auroc.positives) == (there.sum(), TRUTH[there, at].sum())
        assert auroc.low < auroc.score <= auroc.high
        assert (auroc.trained, auroc.trained_low, auroc.trained_high) == (0.9, 0.8, 0.95)
        assert auroc.optimism == pytest.approx(0.9 - auroc.score)
        assert np.isnan(score_of(scores, target, "auprc").trained)
        called = found.patients[found.patients.target == target].call.to_numpy()[there]
        hits = ((called == "positive") & (pair[0] > 0)).sum()
        assert score_of(scores, target, "sensitivity").score == pytest.approx(hits / pair[0].sum())
    record = found.validations[0].record
    assert (record.metric, record.chance, record.patients) == ("auroc", 0.5, COUNT)
    assert record.median_score == pytest.approx(scores[scores.metric == "auroc"].score.median())


def test_scores_are_given_by_site_and_by_the_columns_asked_for(found: PredictionResult) -> None:
    groups = found.subgroups
    assert list(dict.fromkeys(zip(groups.column, groups.group, strict=True))) == [
        ("site", "HD"), ("site", "MA"), ("sex", "F"), ("sex", "M"),
        ("age", "above 57.5"), ("age", "up to 57.5"),
    ]  # fmt: skip
    wide = found.patients.pivot(index="patient_id", columns="target", values="raw")
    own = np.array([SITES[at % 2] == "MA" for at in range(COUNT)])
    row = score_of(groups, "ALPHA", "auroc", "MA")
    assert row.score == pytest.approx(roc_auc_score(TRUTH[own, 0], wide.ALPHA.to_numpy()[own]))
    assert row.n_patients == COUNT / 2
    assert np.isnan(row.trained)
    notes = found.validations[0].record.label_notes
    assert "column age: numbers, cut at their median 57.5" in notes


def test_a_curve_holds_every_patient_once(found: PredictionResult) -> None:
    curves = found.curves
    assert list(curves) == column_names("external_curves")
    alpha = curves[curves.target == "ALPHA"]
    assert alpha.n_patients.sum() == COUNT
    assert alpha.predicted.is_monotonic_increasing
    share = np.average(alpha.observed, weights=alpha.n_patients)
    assert share == pytest.approx(TRUTH[:, 0].mean())


def test_a_validation_is_found_done_and_predictions_are_not_made_again(
    store: str, labels: str, predictor: FittedPredictor, found: PredictionResult
) -> None:
    said: list[str] = []
    config = make_config("made", store, {"labels": labels, "subgroup": ["sex", "age"]})
    again = apply_all([predictor], config, said.append)
    assert again.records == found.records
    assert again.validations[0].record == found.validations[0].record
    assert sum("done already" in line for line in said) == 2
    assert again.is_whole
    other = predict(predictor, store, labels=labels)
    assert other.folder == found.folder
    assert other.validations[0].folder != found.validations[0].folder


def test_two_predictors_are_compared_on_the_same_patients(
    store: str, labels: str, predictor: FittedPredictor
) -> None:
    noise = make_predictor("noise")
    weights = np.random.default_rng(0).normal(size=noise.parts.linear[0].fit.weights.shape)
    parts = dataclasses.replace(
        noise.parts,
        linear=tuple(
            dataclasses.replace(
                part, fit=dataclasses.replace(part.fit, weights=weights[:, : len(part.targets)])
            )
            for part in noise.parts.linear
        ),
    )
    card = noise.card.model_copy(update={"fingerprint": "0" * 64})
    worse = FittedPredictor(card, parts)
    config = make_config(["made", "noise"], store, {"labels": labels})
    result = apply_all([predictor, worse], config)
    table = result.comparisons
    assert list(table) == column_names("external_comparisons")
    row = score_of(table, "ALPHA", "auroc")
    raw = result.patients.pivot(index="patient_id", columns=["predictor", "target"], values="raw")
    one, other = (raw[name]["ALPHA"].to_numpy() for name in ("made", "noise"))
    test = delong_test(
        place_classes(TRUTH[:, 0], other[None]), place_classes(TRUTH[:, 0], one[None])
    )
    assert row.p == pytest.approx(test.p)
    assert row.difference == pytest.approx(
        roc_auc_score(TRUTH[:, 0], other) - roc_auc_score(TRUTH[:, 0], one)
    )
    areas = table[table.metric == "auroc"]
    np.testing.assert_allclose(areas.q, stats.false_discovery_control(areas.p))
    assert set(result.validation.predictor) == {"made", "noise"}
    assert result.comparison is not None
    said: list[str] = []
    apply_all([predictor, worse], config, said.append)
    for note in result.validations[0].record.label_notes:
        assert said.count(note) == 1  # not once a predictor
    assert result.comparison.record.patients == COUNT
    with pytest.raises(ConfigError, match=r"made \(mutation\) and numbers \(expression\)"):
        apply_all([predictor, make_numbers()], config)


def test_numbers_are_validated_on_the_scale_of_training(store: str, tmp_path: Path) -> None:
    raw = np.exp(pool_mean(BAGS)[:, :2].astype(np.float64)) * np.random.default_rng(1).uniform(
        0.8, 1.25, (COUNT, 2)
    )
    frame = pd.DataFrame(raw, columns=["ALPHA", "BETA"])
    frame.insert(0, "patient_id", PEOPLE)
    frame.to_csv(tmp_path / "e.csv", index=False)
    predictor = make_numbers()
    found = predict(predictor, store, labels=str(tmp_path / "e.csv"))
    scaled = predictor.parts.label_scale.to_scale(raw)
    wide = found.patients.pivot(index="patient_id", columns="target", values="raw")
    row = score_of(found.validation, "ALPHA", "pearson")
    assert row.score == pytest.approx(stats.pearsonr(scaled[:, 0], wide.ALPHA)[0])
    assert row.low < row.score < row.high
    assert score_of(found.validation, "ALPHA", "spearman").score == pytest.approx(
        stats.spearmanr(scaled[:, 0], wide.ALPHA)[0]
    )
    assert score_of(found.validation, "ALPHA", "calibration_slope").low < 1.2


def test_labels_with_one_class_are_refused_where_nothing_is_left(
    store: str, tmp_path: Path, predictor: FittedPredictor
) -> None:
    path = write_labels(tmp_path / "one.csv")
    frame = pd.read_csv(path)
    frame["ALPHA"] = 1
    frame.to_csv(path, index=False)
    found = predict(predictor, store, labels=path)
    assert np.isnan(score_of(found.validation, "ALPHA", "auroc").score)
    assert any("there is no score: ALPHA" in n for n in found.validations[0].record.notes)
    frame["BETA"] = 1
    frame.to_csv(path, index=False)
    assert not found.is_whole
    refused = predict(predictor, store, labels=path)
    assert len(refused.patients) == 2 * COUNT  # predictions stay, whatever becomes of the labels
    assert (refused.validations, len(refused.problems), refused.is_whole) == ((), 1, False)
    with pytest.raises(ConfigError, match=r"ALPHA, BETA are the same in all 36 patients"):
        _ = refused.validation


def test_a_missing_calibration_slope_is_explained(
    store: str, tmp_path: Path, predictor: FittedPredictor
) -> None:
    path = write_labels(tmp_path / "b.csv")
    wide = predict(predictor, store).patients.pivot(
        index="patient_id", columns="target", values="calibrated"
    )
    frame = pd.read_csv(path)
    frame["ALPHA"] = (wide.ALPHA.median() < wide.ALPHA).to_numpy().astype(int)  # as predicted
    frame.to_csv(path, index=False)
    found = predict(predictor, store, labels=path)
    assert np.isnan(score_of(found.validation, "ALPHA", "calibration_slope").score)
    assert found.validations[0].record.without_slope == {"ALPHA": SlopeGap.SEPARATED}
    (line,) = [one for one in describe_result(found) if one.startswith("  ALPHA:")]
    assert "no calibration slope, as predictions separate the classes" in line
    assert "slope –" not in line
    assert predict(predictor, store, labels=path).validations[0].record.without_slope


def test_labels_of_other_targets_or_patients_are_refused(
    store: str, tmp_path: Path, predictor: FittedPredictor
) -> None:
    path = write_labels(tmp_path / "b.csv")
    frame = pd.read_csv(path).drop(columns="BETA")
    frame["comment"] = "words do no harm"
    frame.to_csv(path, index=False)
    found = predict(predictor, store, labels=path)
    assert found.validations[0].record.missing_targets == ("BETA",)
    frame.rename(columns={"ALPHA": "GAMMA"}).to_csv(path, index=False)
    with pytest.raises(ConfigError, match=r"none of the 2 genes .*ALPHA, BETA.* is in the table"):
        predict(predictor, store, labels=path)
    strangers = write_labels(tmp_path / "x.csv", [f"X{at}" for at in range(COUNT)])
    with pytest.raises(ConfigError, match="none of its 36 patients"):
        predict(predictor, store, labels=strangers)
    with pytest.raises(ConfigError, match=r"cannot be read .*check the path"):
        predict(predictor, store, labels=str(tmp_path / "none.csv"))
