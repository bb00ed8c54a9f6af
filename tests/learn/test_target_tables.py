import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from histo_ray.learn.statistics import (
    adjust_p,
    chance_statistic,
    corrected_t_test,
    permutation_p,
    plain_t_test,
)
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_scores import EncoderScores, score_encoder
from histo_ray.learn.targets.target_tables import (
    ConfigurationPredictions,
    compare_encoders,
    tabulate_scores,
    tabulate_targets,
)
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

P, T, R, F = 46, 3, 4, 3
KINDS = {"expression": TargetKind.CONTINUOUS, "mutation": TargetKind.BINARY}
GENES = ("TP53", "KRAS", "EGFR")
WHERE = Configuration("imgnet2048", "mean+std", "ridge")


def draw(task: str, own_folds: bool = False) -> tuple[TargetTruth, np.ndarray]:
    """Labels with holes, and predictions by two encoders, (2, R, P, T)."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(P, T))
    if task == "mutation":
        values = (values > [0.4, 0.0, -0.5]).astype(float)
    predicted = values + rng.normal(size=(2, R, P, T))
    values[rng.random((P, T)) < 0.1] = np.nan
    predicted[:, :, np.isnan(values)] = np.nan
    if task == "mutation":
        predicted = 1 / (1 + np.exp(-predicted))
    parts = np.stack([rng.permutation(np.arange(P) % F) for _ in range(R)]).astype(np.int32)
    if own_folds:
        parts = np.stack([rng.permuted(parts, axis=1) for _ in range(T)])
        parts[np.broadcast_to(np.isnan(values.T)[:, None], parts.shape)] = -1
    return TargetTruth(task, GENES, values, parts, kind=KINDS[task]), predicted.astype(np.float32)


def predict(predicted: np.ndarray) -> ConfigurationPredictions:
    numbers = np.arange(R * F * T, dtype=float).reshape(R, F, T)
    return ConfigurationPredictions(predicted, numbers, -numbers, numbers % 2 == 0)


def rows_of(
    truth: TargetTruth, target: int, repeat: int, fold: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labelled patients trained on and judged."""
    parts = truth.fold_ids[repeat] if truth.fold_ids.ndim == 2 else truth.fold_ids[target, repeat]
    there = ~np.isnan(truth.values[:, target])
    return np.flatnonzero(there & (parts != fold)), np.flatnonzero(there & (parts == fold))


def test_every_fold_of_expression_is_scored_as_scipy_and_scikit_learn_do() -> None:
    truth, predicted = draw("expression")
    table = tabulate_scores(truth, WHERE, predict(predicted[0]))
    assert table.schema == arrow_schema("outcome_scores")
    frame = table.to_pandas()
    assert len(frame) == R * F * T
    same = frame[["task", "encoder", "pooling", "head"]].drop_duplicates()
    assert same.to_numpy().tolist() == [["expression", "imgnet2048", "mean+std", "ridge"]]
    for row in frame.itertuples():
        target = GENES.index(row.target)
        train, test = rows_of(truth, target, row.repeat, row.fold)
        labels, found = truth.values[test, target], predicted[0, row.repeat, test, target]
        assert (row.n_train, row.n_test, row.positives) == (len(train), len(test), 0)
        assert row.pearson == pytest.approx(stats.pearsonr(labels, found).statistic)
        assert row.spearman == pytest.approx(stats.spearmanr(labels, found).statistic)
        mean = truth.values[train, target].mean()
        total = ((labels - mean) ** 2).sum()
        assert row.r2 == pytest.approx(1 - ((labels - found) ** 2).sum() / total)
        number = (row.repeat * F + row.fold) * T + target
        assert (row.choice, row.inner_score, row.selected) == (number, -number, number % 2 == 0)
        assert np.isnan([row.auroc, row.auprc]).all()


@pytest.mark.parametrize("own_folds", [False, True])
def test_every_fold_of_mutation_is_scored_as_scikit_learn_does(own_folds: bool) -> None:
    truth, predicted = draw("mutation", own_folds)
    frame = tabulate_scores(truth, WHERE, predict(predicted[0])).to_pandas()
    for row in frame.itertuples():
        target = GENES.index(row.target)
        train, test = rows_of(truth, target, row.repeat, row.fold)
        labels, found = truth.values[test, target], predicted[0, row.repeat, test, target]
        assert (row.n_train, row.n_test) == (len(train), len(test))
        assert row.positives == labels.sum()
        if 0 < labels.sum() < len(labels):
            assert row.auroc == pytest.approx(roc_auc_score(labels, found))
            assert row.auprc == pytest.approx(average_precision_score(labels, found))
        else:
            assert np.isnan([row.auroc, row.auprc]).all()
        assert np.isnan([row.pearson, row.spearman, row.r2]).all()


def score_both(
    truth: TargetTruth, predicted: np.ndarray, null: np.ndarray | None = None
) -> dict[str, EncoderScores]:
    return {
        name: score_encoder(truth, one, 200, 3, null)
        for name, one in zip(("ftx", "imgnet"), predicted, strict=True)
    }


def test_targets_of_expression_say_what_folds_say_on_average() -> None:
    truth, predicted = draw("expression")
    scores = tabulate_scores(truth, WHERE, predict(predicted[0])).to_pandas()
    by_fold = scores.groupby("target")[["pearson", "spearman"]].mean()
    null = np.random.default_rng(1).normal(0, 0.1, (2, 99))  # of the first two repeats
    frame = tabulate_targets(truth, score_both(truth, predicted, null)).to_pandas()
    assert frame["encoder"].tolist() == ["ftx"] * T + ["imgnet"] * T
    for target, row in enumerate(frame.iloc[:T].itertuples()):
        there = ~np.isnan(truth.values[:, target])
        labels, found = truth.values[there, target], predicted[0][:, there, target]
        assert (row.task, row.target, row.metric) == ("expression", GENES[target], "pearson")
        assert (row.n_patients, row.positives) == (there.sum(), 0)
        assert row.score == pytest.approx(by_fold["pearson"][row.target])
        assert row.low < row.score < row.high
        assert row.spearman == pytest.approx(by_fold["spearman"][row.target])
        paper = stats.pearsonr(labels, found.mean(0), alternative="greater").pvalue
        assert row.p_paper == pytest.approx(paper, rel=1e-4)
        seen = [
            chance_statistic(truth.values, predicted[0][r], truth.fold_ids[r])[target]
            for r in range(2)
        ]
        assert row.p_chance == pytest.approx(permutation_p(np.mean(seen), null.mean(0))[0])
        references = [
            [truth.values[rows_of(truth, target, r, f)[0], target].mean() for f in range(F)]
            for r in range(R)
        ]
        about = [np.array(references[r])[truth.fold_ids[r][there]] for r in range(R)]
        r2 = [
            1 - ((labels - found[r]) ** 2).sum() / ((labels - about[r]) ** 2).sum()
            for r in range(R)
        ]
        assert row.r2 == pytest.approx(np.mean(r2))
        assert row.r2 != pytest.approx(np.mean([r2_score(labels, f) for f in found]))
    np.testing.assert_allclose(frame["q_chance"][:T], adjust_p(frame["p_chance"][:T]))


def test_without_a_null_chance_is_left_to_the_corrected_test() -> None:
    truth, predicted = draw("expression")
    frame = tabulate_targets(truth, score_both(truth, predicted)).to_pandas()
    folds = (
        tabulate_scores(truth, WHERE, predict(predicted[0])).to_pandas().query("target == 'KRAS'")
    )
    sizes = folds["n_train"].mean(), folds["n_test"].mean()
    p = corrected_t_test(folds["pearson"], *sizes, alternative="greater", correlation="chance").p
    assert frame["p_chance"][1] == pytest.approx(float(p))


@pytest.mark.parametrize("own_folds", [False, True])
def test_targets_of_mutation(own_folds: bool) -> None:
    truth, predicted = draw("mutation", own_folds)
    frame = tabulate_targets(truth, score_both(truth, predicted)).to_pandas()
    scores = tabulate_scores(truth, WHERE, predict(predicted[1])).to_pandas()
    for target, row in enumerate(frame.iloc[T:].itertuples()):
        there = ~np.isnan(truth.values[:, target])
        labels, found = truth.values[there, target], predicted[1][:, there, target]
        assert (row.n_patients, row.positives) == (there.sum(), labels.sum())
        folds = scores[scores["target"] == row.target]
        assert row.score == pytest.approx(folds["auroc"].mean())
        assert row.auprc == pytest.approx(
            np.mean([average_precision_score(labels, f) for f in found])
        )
        mean = found.mean(0, dtype=float)
        paper = stats.mannwhitneyu(mean[labels == 1], mean[labels == 0], alternative="greater")
        assert row.p_paper == pytest.approx(paper.pvalue)
        sizes = folds["n_train"].mean(), folds["n_test"].mean()
        p = corrected_t_test(
            folds["auroc"] - 0.5, *sizes, alternative="greater", correlation="chance"
        ).p
        assert row.p_chance == pytest.approx(float(p))
        assert np.isnan([row.spearman, row.r2]).all()


@pytest.mark.parametrize("task", ["expression", "mutation"])
def test_pairs_are_compared_on_the_same_folds_and_patients(task: str) -> None:
    truth, predicted = draw(task)
    found = score_both(truth, predicted)
    table = compare_encoders(truth, found)
    assert table.schema == arrow_schema("outcome_comparisons")
    frame = table.to_pandas()
    targets = tabulate_targets(truth, found).to_pandas()
    folds = [tabulate_scores(truth, WHERE, predict(one)).to_pandas() for one in predicted]
    metric = "auroc" if task == "mutation" else "pearson"
    for target, row in enumerate(frame.itertuples()):
        assert (row.task, row.target, row.metric) == (task, GENES[target], metric)
        assert (row.encoder_a, row.encoder_b) == ("ftx", "imgnet")
        assert (row.score_a, row.score_b) == tuple(targets["score"][[target, T + target]])
        assert row.difference == row.score_b - row.score_a
        assert row.low < row.difference < row.high
        one, other = (f[f["target"] == row.target] for f in folds)
        differences = other[metric].to_numpy() - one[metric].to_numpy()
        sizes = one["n_train"].mean(), one["n_test"].mean()
        assert row.p_corrected == pytest.approx(
            float(corrected_t_test(differences, *sizes, correlation="chance").p)
        )
        assert row.p_plain == pytest.approx(float(plain_t_test(differences).p))
        assert np.isnan(row.p_delong)  # kept for readers of older runs
    np.testing.assert_allclose(frame["q_corrected"], adjust_p(frame["p_corrected"]))


def test_one_encoder_has_no_comparison_and_one_class_no_score() -> None:
    truth, predicted = draw("mutation")
    truth.values[:, 1] = np.where(np.isnan(truth.values[:, 1]), np.nan, 0.0)
    found = score_both(truth, predicted)
    one = {"ftx": found["ftx"]}
    assert compare_encoders(truth, one).num_rows == 0
    frame = compare_encoders(truth, found).to_pandas()
    lost = frame[["difference", "low", "high", "p_corrected", "q_corrected", "p_delong"]]
    assert lost.isna().all(axis=1).tolist() == [False, True, False]
    row = tabulate_targets(truth, one).to_pandas().iloc[1]
    assert row[["score", "low", "high", "p_chance", "q_chance", "p_paper"]].isna().all()


def test_who_is_not_judged_or_stopped_early_leaves_a_hole() -> None:
    truth, predicted = draw("expression")
    predicted[0, 2] = np.nan
    frame = tabulate_scores(truth, WHERE, predict(predicted[0])).to_pandas()
    lost = frame["repeat"] == 2
    assert frame.loc[lost, ["pearson", "spearman", "r2"]].isna().all(axis=None)
    assert frame.loc[~lost, ["pearson", "spearman", "r2"]].notna().all(axis=None)


def test_many_folds_of_many_genes_are_tabulated_in_order() -> None:
    rng = np.random.default_rng(0)
    parts = np.stack([rng.permutation(np.arange(40) % 5) for _ in range(20)])
    values = rng.normal(size=(40, 300))
    truth = TargetTruth(
        "expression", tuple(f"G{n}" for n in range(300)), values, parts, kind=TargetKind.CONTINUOUS
    )
    nothing = np.full((20, 5, 300), np.nan)
    judged = ConfigurationPredictions(rng.normal(size=(20, 40, 300)), nothing, nothing, nothing > 0)
    frame = tabulate_scores(truth, WHERE, judged).to_pandas()
    keys = pd.MultiIndex.from_product([range(20), range(5), truth.targets])
    assert pd.MultiIndex.from_frame(frame[["repeat", "fold", "target"]]).equals(
        keys.set_names(["repeat", "fold", "target"])
    )
