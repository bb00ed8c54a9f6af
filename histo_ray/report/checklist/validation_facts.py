"""What the store knows of an external validation, by item of TRIPOD+AI."""

from collections.abc import Callable, Iterator

from histo_ray.report.checklist.common_facts import (
    digest_text,
    name_many,
    score_text,
    versions_text,
)
from histo_ray.report.checklist.sheet import Study
from histo_ray.report.checklist.tripod_items import EVALUATION
from histo_ray.report.external.prediction_words import METRIC_WORDS, sum_up_validation
from histo_ray.report.external.validations import ShownValidation
from histo_ray.report.format_numbers import format_score
from histo_ray.report.targets.review_data import index_rows
from histo_ray.text import count_of, name_some

Fill = Callable[[ShownValidation], Iterator[str]]

_FURTHER = ("calibration_slope", "calibration_intercept", "brier", "sensitivity", "specificity")


def study_validation(shown: ShownValidation) -> Study:
    """Gather the facts of an external validation."""
    facts = {number: list(fill(shown)) for number, fill in _FILLS.items()}
    name = f"predictor {shown.record.predictor}"
    return Study(name, shown.record.run_id, EVALUATION, facts)


def _title(shown: ShownValidation) -> Iterator[str]:
    yield (
        f"Evaluation of the predictor {shown.record.predictor} on patients that it was not fitted "
        f"on. Outcome: {shown.predictions.task} of {name_some(shown.record.targets, 8)}. "
        f"Predictors: features of whole-slide images by {shown.predictions.encoder}."
    )


def _sources(shown: ShownValidation) -> Iterator[str]:
    made, record = shown.predictions, shown.record
    yield (
        f"{count_of(made.slides, 'slide')} of {count_of(made.patients, 'patient')}, of whom "
        f"{record.patients:,} have a label; labels {record.labels}"
        f"{digest_text(record.labels_sha256)}."
    )
    if record.synthetic:
        yield "SYNTHETIC data: drawn by a program, no patient is behind them."


def _setting(shown: ShownValidation) -> Iterator[str]:
    sites = shown.scores[shown.scores["column"] == "site"].drop_duplicates("group")
    if len(sites):
        named = [
            f"{site} {count}"
            for site, count in zip(sites["group"], sites["n_patients"], strict=True)
        ]
        told = name_many(named, "scores.parquet")
        yield f"{count_of(len(named), 'site')} with scores (patients): {told}."


def _eligibility(shown: ShownValidation) -> Iterator[str]:
    made, record = shown.predictions, shown.record
    known = len(made.overlap) + len(made.renamed)
    yield (
        f"Left out: {count_of(known, 'patient')} that the predictor was fitted on, "
        f"{count_of(len(made.without_vector), 'patient')} without a vector, "
        f"{record.predictions_only:,} without a label."
    )
    if not made.overlap_known:
        yield "The predictor's card has no hashes of patients, so overlap cannot be excluded."


def _preparation(shown: ShownValidation) -> Iterator[str]:
    made = shown.predictions
    outside = "" if made.outside is None else (
        f"; {made.outside:.1%} of tiles lie outside the range of features that it was fitted on, "
        "where 1 % is usual"
    )  # fmt: skip
    empty = (
        f"; {count_of(len(made.empty_slides), 'slide')} without tissue" if made.empty_slides else ""
    )
    yield f"Tiles cut as for the development cohort (tiling {made.tiling}){outside}{empty}."
    if shown.record.label_notes:
        yield f"Noted of labels: {'; '.join(shown.record.label_notes)}."


def _outcome(shown: ShownValidation) -> Iterator[str]:
    yield f"{shown.predictions.task}: {name_many(list(shown.record.targets), 'scores.parquet')}."
    if shown.record.missing_targets:
        yield f"Not in the labels: {name_some(shown.record.missing_targets, 8)}."


def _predictors(shown: ShownValidation) -> Iterator[str]:
    made = shown.predictions
    yield (
        f"Features of tiles by {made.encoder}{digest_text(made.weights_sha256)}, the encoder that "
        "the predictor was fitted on; other weights are refused. Computed without the outcome."
    )


def _sample(shown: ShownValidation) -> Iterator[str]:
    rows = shown.overall.drop_duplicates("target")
    events = [
        f"{target} {positives:,} of {patients:,}"
        for target, positives, patients in zip(
            rows["target"], rows["positives"], rows["n_patients"], strict=True
        )
        if positives
    ]
    yield f"{count_of(shown.record.patients, 'patient')} with a prediction and a label."
    if events:
        yield f"Events: {name_many(events, 'scores.parquet')}."


def _missing(shown: ShownValidation) -> Iterator[str]:
    record = shown.record
    yield (
        "Complete cases: nothing is imputed. "
        f"{count_of(record.predictions_only, 'patient')} had no label, "
        f"{count_of(record.labels_only, 'patient')} no prediction."
    )


def _clusters(shown: ShownValidation) -> Iterator[str]:
    columns = ", ".join(["site", *shown.record.subgroups])
    yield f"Scores are given by {columns} where there are several groups of enough patients."


def _measures(shown: ShownValidation) -> Iterator[str]:
    there = dict.fromkeys(METRIC_WORDS.get(name, name) for name in shown.overall["metric"])
    yield (
        f"{', '.join(there)}, with 95 % intervals over patients; calibration curves; each beside "
        "the cross-validated score of the development cohort."
    )


def _calculated(shown: ShownValidation) -> Iterator[str]:
    made = shown.predictions
    versions = shown.record.versions.get("histo_ray", "")
    yield (
        f"histo-ray predict {versions} with predictor {made.predictor} (SHA-256 "
        f"{made.predictor_sha256}). Predictions: {made.scale or 'as its head says'}."
    )


def _output(shown: ShownValidation) -> Iterator[str]:
    yield f"Threshold: {shown.predictions.threshold or 'the first of each target'}, of the card."


def _difference(shown: ShownValidation) -> Iterator[str]:
    outside = shown.predictions.outside
    if outside is not None:
        yield f"{outside:.1%} of tiles lie outside the features of the development cohort."
    yield "The predictor's card has its cohort: patients, slides, sites."


def _data(shown: ShownValidation) -> Iterator[str]:
    yield "Predictions of every patient and all scores lie as Parquet in the store."


def _code(shown: ShownValidation) -> Iterator[str]:
    record = shown.record
    yield f"Software: {versions_text(record.versions)}; bootstrap seed {record.seed}."


def _flow(shown: ShownValidation) -> Iterator[str]:
    made, record = shown.predictions, shown.record
    yield (
        f"{made.slides:,} slides with tiles → {made.patients:,} patients predicted → "
        f"{record.patients:,} with a label."
    )


def _performance(shown: ShownValidation) -> Iterator[str]:
    found = index_rows(shown.overall, ("target", "metric"))
    main = shown.record.metric
    named = [
        f"{target} {score_text(*found[target, main][2:])}"
        for target in shown.by_target
        if (target, main) in found
    ]
    yield f"{METRIC_WORDS[main]}: {name_many(named, 'scores.parquet')}."
    for metric in _FURTHER:
        some = [
            f"{target} {format_score(found[target, metric].score)}"
            for target in shown.by_target
            if (target, metric) in found
        ]
        if some:
            word = METRIC_WORDS[metric]
            yield f"{word[:1].upper()}{word[1:]}: {name_many(some, 'scores.parquet')}."


def _by_group(shown: ShownValidation) -> Iterator[str]:
    own = shown.scores[
        (shown.scores["column"] != "") & (shown.scores["metric"] == shown.record.metric)
    ]
    found = index_rows(own, ("column", "target", "group"))
    for column in dict.fromkeys(column for column, _, _ in found):
        named = [
            f"{target}, {group} (n {one.n_patients}) {score_text(*one[2:])}"
            for (name, target, group), one in found.items()
            if name == column
        ]
        yield f"By {column}: {name_many(named, 'scores.parquet')}."


def _limitations(shown: ShownValidation) -> Iterator[str]:
    for text in dict.fromkeys((*shown.predictions.notes, *shown.record.notes)):
        yield f"Caveat: {text}."


_FILLS: dict[str, Fill] = {
    "1": _title,
    "4": lambda shown: iter(["Evaluation on patients of another cohort."]),
    "5a": _sources, "6a": _setting, "6b": _eligibility, "7": _preparation, "8a": _outcome,
    "9b": _predictors,
    "9c": lambda shown: iter(["Nobody judges a predictor: all are computed."]),
    "10": _sample, "11": _missing, "12d": _clusters, "12e": _measures,
    "12f": lambda shown: iter(["None: calibration and thresholds are those of the card."]),
    "12g": _calculated,
    "13": lambda shown: iter(["Nothing was trained, weighed or resampled here."]),
    "16": _difference, "18e": _data, "18f": _code, "20a": _flow, "21": _sample,
    "15": _output, "23a": _performance, "23b": _by_group,
    "24": lambda shown: iter(["No model was updated."]),
    "25": lambda shown: iter([sum_up_validation(shown.record)]),
    "26": _limitations,
}  # fmt: skip
