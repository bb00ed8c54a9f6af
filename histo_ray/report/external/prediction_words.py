"""What `predict` made, as lines for a terminal, and the words of its scores. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from histo_ray.learn.statistics.calibration_scores import SlopeGap
from histo_ray.predict.external.prediction_record import PredictionRecord, ValidationRecord
from histo_ray.predict.external.prediction_run import STRANGE
from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.text import count_of

if TYPE_CHECKING:
    import pandas as pd

    from histo_ray.predict.external.prediction_result import PredictionResult

METRIC_WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "c_index": "C-index",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "r2": "R²",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "observed_expected": "observed / expected",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_auroc": "macro AUROC",
    "kappa": "kappa, quadratic weights",
}
"""By the column `metric` of `schemas/external_scores.json`."""
AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")
OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_auroc", "kappa", "spearman")
"""Scores of a column of several classes as a whole."""
_GAPS = {
    SlopeGap.TOO_FEW: "as patients are too few",
    SlopeGap.ONE_CLASS: "as labels are of one class alone",
    SlopeGap.CONSTANT: "as predictions are all alike",
    SlopeGap.SEPARATED: "as predictions separate the classes (nearly) without error",
}
"""Why there is no calibration slope."""
SHOWN = 20
"""Targets of which the terminal tells the scores."""
LEVEL = 0.05


def describe_result(result: "PredictionResult") -> list[str]:
    """Describe predictions, validations and a comparison as lines for a terminal."""
    lines: list[str] = []
    store = result.store.rstrip("/")
    for applied in result.applied:
        lines += describe_predictions(applied.record)
        lines.append(f"  tables: {store}/{applied.folder.folder}")
    for validation in result.validations:
        scores = validation.folder.read("scores").to_pandas()
        lines += describe_validation(validation.record, scores)
        lines.append(f"  tables: {store}/{validation.folder.folder}")
    if result.comparison is not None:
        lines += describe_comparison(result.comparisons)
        lines.append(f"  table: {store}/{result.comparison.folder.folder}")
    return lines


def describe_predictions(record: PredictionRecord) -> Iterator[str]:
    """Describe whom a predictor was applied to, and what a reader has to know."""
    mark = "SYNTHETIC, " if record.synthetic else ""
    yield (
        f"{record.predictor} ({mark}{record.task}; {record.use}): "
        f"{count_of(record.patients, 'patient')}, {count_of(record.slides, 'slide')} of "
        f"{record.encoder}, {count_of(len(record.targets), 'target')}"
    )
    for note in record.notes:
        yield f"  {note}"
    if record.outside is not None and record.outside <= STRANGE:  # else a note says so
        yield f"  {record.outside:.1%} of the tiles lie outside its range (1 % is usual)"


def sum_up_validation(record: ValidationRecord) -> str:
    """One sentence on an external validation."""
    word = METRIC_WORDS[record.metric]
    score = format_score(_or_nan(record.median_score))
    if len(record.targets) == 1:
        what = f"{word} of {record.targets[0]} {score}"
    else:
        what = f"median {word} over {count_of(len(record.targets), 'target')} {score}"
    before = ""
    if record.median_trained is not None:
        before = f"; {format_score(record.median_trained)} by cross-validation where it was fitted"
    return (
        f"{record.predictor}, external validation on {count_of(record.patients, 'patient')}: "
        f"{what}{before} ({record.chance:g} is a guess)."
    )


def describe_validation(record: ValidationRecord, scores: "pd.DataFrame") -> Iterator[str]:
    """Describe an external validation, target by target.

    Args:
        record: Of the validation.
        scores: Rows of `schemas/external_scores.json`.
    """
    yield f"{'SYNTHETIC: ' if record.synthetic else ''}{sum_up_validation(record)}"
    for note in record.notes:
        yield f"  {note}"
    overall = scores[scores["column"] == ""]
    for target in record.targets[:SHOWN]:
        own = overall[overall["target"] == target].set_index("metric")
        yield f"  {target}: {'; '.join(_name_scores(record, target, own))}"
    if len(record.targets) > SHOWN:
        yield f"  and {len(record.targets) - SHOWN} more, in the tables"
    others = overall[~overall["target"].isin(record.targets)]
    for column, rows in others.groupby("target", sort=False):
        told = "; ".join(_name_scores(record, str(column), rows.set_index("metric"), OF_CLASSES))
        yield f"  {column}, all classes: {told}"


def describe_comparison(table: "pd.DataFrame") -> Iterator[str]:
    """Describe how predictors compare, pair by pair and metric by metric.

    Args:
        table: Rows of `schemas/external_comparisons.json`.
    """
    for (a, b, metric), own in table.groupby(["predictor_a", "predictor_b", "metric"], sort=False):
        sure = own[own["q"] < LEVEL]
        better = int((sure["difference"] > 0).sum())
        yield (
            f"{b} against {a}, {METRIC_WORDS[str(metric)]}: better in {better} and worse in "
            f"{len(sure) - better} of {count_of(len(own), 'target')} (q < {LEVEL:g}), median "
            f"difference {format_score(float(own['difference'].median()), signed=True)}"
        )
        for row in own.head(SHOWN).to_dict("records"):
            values: dict[str, Any] = {str(name): value for name, value in row.items()}
            yield (
                f"  {values['target']}: {format_score(values['difference'], signed=True)} "
                f"({format_interval(values['low'], values['high'], signed=True)}), "
                f"q {format_maybe_p(values['q'])}"
            )


def _name_scores(
    record: ValidationRecord,
    target: str,
    own: "pd.DataFrame",
    metrics: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the scores of one target; of its metrics the ones that a reader asks for first."""
    first = (record.metric, "calibration_slope", "calibration_intercept", *AT_THRESHOLD[:2])
    for name in metrics or first:
        if name not in own.index:
            continue
        found = own.loc[[name]].iloc[0]
        if found["score"] != found["score"]:
            yield f"no {METRIC_WORDS[name]}{_explain(record, target, name)}"
            continue
        score, low, high, trained = (
            float(found[column]) for column in ("score", "low", "high", "trained")
        )
        text = f"{METRIC_WORDS[name]} {format_score(score)} ({format_interval(low, high)})"
        if trained == trained:
            text += f", cross-validated {format_score(trained)}"
        yield text


def _explain(record: ValidationRecord, target: str, metric: str) -> str:
    """Why a target lacks a score, behind a comma; empty: an older record does not say."""
    if target in record.one_class:
        return f", {_GAPS[SlopeGap.ONE_CLASS]}"
    gap = record.without_slope.get(target) if metric == "calibration_slope" else None
    return "" if gap is None else f", {_GAPS[gap]}"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
