"""What the store knows of an evaluation of patients, by item of TRIPOD+AI."""

from collections.abc import Callable, Iterator

from histo_ray.learn.heads.registry import trains_on_bags
from histo_ray.report.caveat_words import list_caveats
from histo_ray.report.checklist.common_facts import (
    count_text,
    digest_text,
    name_many,
    versions_text,
)
from histo_ray.report.checklist.performance_facts import (
    list_clusters,
    list_measures,
    list_performance,
)
from histo_ray.report.checklist.sheet import Study
from histo_ray.report.checklist.tripod_items import DEVELOPMENT
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.targets.cohort_section import flow_steps
from histo_ray.report.targets.target_section import main_sentence
from histo_ray.text import count_of, name_some

Fill = Callable[[TargetEvaluation], Iterator[str]]


def study_evaluation(run: TargetEvaluation, tilings: dict[str, str], fitted: list[str]) -> Study:
    """Gather the facts of an evaluation.

    Args:
        run: Which.
        tilings: How tiles were cut, in words, by encoder.
        fitted: Predictors of it that the store has, in words.
    """
    facts = {number: list(fill(run)) for number, fill in _FILLS.items()}
    tiles = [f"Tiles of {name}: {text}." for name, text in tilings.items() if text]
    facts["7"] = [*tiles, *facts["7"]]
    facts["22"] = fitted or [
        "No predictor of this evaluation is in the store; `histo-ray fit` publishes one with its "
        "card, digests and a command that applies it."
    ]
    return Study(run.words.title, run.run_id, DEVELOPMENT, facts)


def _encoders(run: TargetEvaluation) -> str:
    return name_some(list(run.record.encoders), 8)


def _title(run: TargetEvaluation) -> Iterator[str]:
    yield (
        f"Development with internal validation by repeated cross-validation, no evaluation on "
        f"other patients. Outcome: {run.words.title.lower()} of "
        f"{count_of(run.record.labels.targets, run.words.target)}. Predictors: features of "
        f"whole-slide images by {_encoders(run)}."
    )


def _objectives(run: TargetEvaluation) -> Iterator[str]:
    more = len(run.record.encoders) > 1
    yield "Development with internal validation" + (
        f", and a comparison of encoders on the same patients and folds: {_encoders(run)}."
        if more
        else "."
    )


def _sources(run: TargetEvaluation) -> Iterator[str]:
    cohort, labels = run.record.cohort, run.record.labels
    yield (
        f"{count_of(cohort.slides_used, 'slide')} of {count_of(cohort.patients_used, 'patient')}; "
        f"labels {labels.path or 'of an unknown file'}{digest_text(labels.sha256)}."
    )
    if run.record.synthetic:
        yield "SYNTHETIC data: drawn by a program, no patient is behind them."


def _setting(run: TargetEvaluation) -> Iterator[str]:
    used = run.cohort[run.cohort["used"]]
    counts = used.loc[used["site"] != "", "site"].value_counts()
    if not len(counts):
        yield "No site of any patient is recorded."
        return
    named = [f"{site} {count}" for site, count in counts.items()]
    unknown = int((used["site"] == "").sum())
    rest = f"; {count_of(unknown, 'patient')} without a site" if unknown else ""
    yield f"{count_of(len(counts), 'site')} (patients): {name_many(named, 'cohort.parquet')}{rest}."


def _eligibility(run: TargetEvaluation) -> Iterator[str]:
    lost = run.cohort.loc[~run.cohort["used"], "reason"].value_counts()
    named = {str(reason): int(count) for reason, count in lost.items()}
    if named:
        yield f"Not evaluated: {count_text(named, 'patient')}."
    dropped = run.record.labels.dropped
    if dropped:
        names = [f"{one.target} ({one.reason})" for one in dropped]
        yield f"{run.words.target.capitalize()}s left out: {name_many(names, 'run.json')}."
    if not named and not dropped:
        yield "Nobody and nothing was left out for technical reasons."


def _preparation(run: TargetEvaluation) -> Iterator[str]:
    labels, cohort = run.record.labels, run.record.cohort
    if cohort.slides_failed or cohort.slides_without_tiles:
        yield (
            f"{cohort.slides_failed or 0:,} slides failed in extraction, "
            f"{cohort.slides_without_tiles:,} had no tissue."
        )
    if run.record.where is not None:
        yield f"Only tiles with {run.record.where.text} were used."
    if labels.transform:
        yield (
            f"Transform of labels: {labels.transform}, of each target by itself over all patients "
            "with a label; no feature bears on it."
        )
    if labels.notes:
        yield f"Noted of labels: {'; '.join(labels.notes)}."
    if cohort.notes:
        yield f"Noted of patients: {'; '.join(cohort.notes)}."


def _outcome(run: TargetEvaluation) -> Iterator[str]:
    targets = list(dict.fromkeys(run.targets["target"]))
    yield (
        f"{run.words.title}, {count_of(len(targets), run.words.target)}: "
        f"{name_many(targets, 'targets.parquet')}."
    )
    classes = run.record.labels.variant_classes
    if classes:
        yield f"Classes of calls that count as a mutation: {', '.join(classes)}."


def _initial(run: TargetEvaluation) -> Iterator[str]:
    dims = ", ".join(f"{name} {found.dim:,}" for name, found in run.record.encoders.items())
    yield f"All numbers of each encoder's features ({dims}); none was selected beforehand."


def _predictors(run: TargetEvaluation) -> Iterator[str]:
    for name, found in run.record.encoders.items():
        tiling = f", tiling {found.tiling}" if found.tiling else ""
        asked = found.request if found.request != name else "as named"
        yield (
            f"Features of tiles by {name} ({asked}){digest_text(found.weights_sha256)}{tiling}; "
            "computed by a program that sees no outcome of these patients unless a caveat under 26 "
            "says so."
        )
    poolings = dict.fromkeys(one.pooling for one in run.record.configurations if one.pooling)
    yield f"Pooled to a patient by {', '.join(poolings)}."


def _sample(run: TargetEvaluation) -> Iterator[str]:
    yield f"{count_of(run.record.cohort.patients_used, 'patient')} with slides and a label."
    events = _events(run)
    if events:
        yield f"Positives of patients with a label: {name_many(events, 'targets.parquet')}."


def _events(run: TargetEvaluation) -> list[str]:
    table = run.targets.drop_duplicates("target")
    return [
        f"{target} {positives:,} of {patients:,}"
        for target, positives, patients in zip(
            table["target"], table["positives"], table["n_patients"], strict=True
        )
        if positives
    ]


def _missing(run: TargetEvaluation) -> Iterator[str]:
    cohort = run.record.cohort
    table = run.targets.drop_duplicates("target")
    fewest = int(table["n_patients"].min()) if len(table) else 0
    yield (
        "Complete cases: a patient without a label of a target, or without features of one "
        "encoder, is left out for it; nothing is imputed. "
        f"{count_of(cohort.features_only, 'patient')} with slides had no label, "
        f"{count_of(cohort.labels_only, 'patient')} with a label no slides; "
        f"{count_of(fewest, 'patient')} have a label of the target with most missing ones."
    )
    most = run.record.settings.get("max_missing")
    if most is not None:
        yield f"Targets with more than {float(str(most)):.0%} missing labels are left out."


def _partition(run: TargetEvaluation) -> Iterator[str]:
    folds = run.record.folds
    kept = f"; no {folds.kept_together} is in two folds" if folds.kept_together else ""
    seeds = f"; seeds {folds.seeds[0]} to {folds.seeds[-1]}" if folds.seeds else ""
    yield (
        f"{folds.repeats} x {folds.n_folds}-fold cross-validation, stratified, the same folds for "
        f"all encoders{kept}{seeds}{digest_text(folds.sha256)}."
    )


def _handling(run: TargetEvaluation) -> Iterator[str]:
    if all(trains_on_bags(one.head) for one in run.record.configurations):
        yield "Attention heads see single tiles, standardised by those of the training part."
        return
    yield (
        "Linear in each feature, after holding features within the range of the training part and "
        "standardising them by its mean and standard deviation, in each fold anew."
    )
    if any(trains_on_bags(one.head) for one in run.record.configurations):
        yield "Attention heads see single tiles, standardised likewise."


def _model(run: TargetEvaluation) -> Iterator[str]:
    tried = [
        " / ".join(value for value in (one.encoder, one.pooling, one.head, one.variant) if value)
        for one in run.record.configurations
    ]
    inner = run.record.settings.get("inner_folds")
    yield f"Tried: {name_many(tried, 'run.json')}."
    yield (
        "Penalties, and pooling and head where several were tried, are chosen inside the training "
        f"part of each fold{f' ({inner} inner folds)' if inner else ''}: nested cross-validation."
    )


def _imbalance(run: TargetEvaluation) -> Iterator[str]:
    balanced = [name for name, one in run.record.mil.items() if one.get("balanced")]
    if not (run.targets["positives"] > 0).any():
        yield "Targets are numbers."
    elif balanced:
        yield f"Classes are drawn equally often in training of {', '.join(balanced)}."
    else:
        yield "Classes are neither weighed nor resampled; folds are stratified by class."


def _fairness(run: TargetEvaluation) -> Iterator[str]:
    columns = dict.fromkeys(one.column for one in run.record.review.groups)
    if columns:
        yield f"Scores are given by {', '.join(columns)} (23a, 23b); no head was changed for it."


def _output(run: TargetEvaluation) -> Iterator[str]:
    if (run.targets["positives"] > 0).any():
        yield "A probability of each class target; the evaluation makes no calls."
    else:
        yield "A number on the scale of the labels as they were transformed."


def _difference(run: TargetEvaluation) -> Iterator[str]:
    yield "Training and test parts are drawn from one cohort: the same setting, criteria and assay."


def _data(run: TargetEvaluation) -> Iterator[str]:
    folder = run.folder.folder
    yield (
        f"Features, folds, every out-of-fold prediction and all scores lie as Parquet in the store "
        f"({folder}); the label file is named by its digest."
    )


def _code(run: TargetEvaluation) -> Iterator[str]:
    record = run.record
    yield f"Software: {versions_text(record.versions)}."
    seed = record.settings.get("seed", "unknown")
    yield f"Seed {seed}; all settings are in {run.run_id}/run.json."


def _flow(run: TargetEvaluation) -> Iterator[str]:
    steps = [
        f"{step.number:,} {step.what}{f' (lost: {step.lost})' if step.lost else ''}"
        for step in flow_steps(run)
    ]
    yield f"{' → '.join(steps)}."


def _characteristics(run: TargetEvaluation) -> Iterator[str]:
    used = run.cohort[run.cohort["used"]]
    if len(used):
        most = int(used["slides"].max())
        yield f"Slides of a patient: {used['slides'].mean():.2f} on average, {most} at most."
    yield from _setting(run)
    groups = {one.column: one.groups for one in run.record.review.groups if one.column != "site"}
    for column, count in groups.items():
        yield f"{column}: {count_of(count, 'group')}; subgroups.parquet has patients of each."


def _analyses(run: TargetEvaluation) -> Iterator[str]:
    count, folds = run.record.cohort.patients_used, run.record.folds.n_folds
    tested = count / folds
    yield (
        f"In each fold some {count - tested:.0f} patients are trained on (hyperparameters are "
        f"tuned on inner folds of these) and {tested:.0f} tested; targets with missing labels have "
        "fewer (n_train, n_test in scores.parquet)."
    )
    events = _events(run)
    if events:
        yield f"Events: {name_many(events, 'targets.parquet')}."


def _interpretation(run: TargetEvaluation) -> Iterator[str]:
    yield main_sentence(run)


def _limitations(run: TargetEvaluation) -> Iterator[str]:
    for text in list_caveats(run.record, run.targets, run.cohort):
        yield f"Caveat: {text}."
    yield "Scores are of internal validation: other hospitals and scanners were not tested."


def _input_quality(run: TargetEvaluation) -> Iterator[str]:
    yield (
        "A published predictor tells the share of tiles outside of the features that it was "
        "fitted on, and refuses other encoders and tilings; it does not judge focus or stain."
    )


_FILLS: dict[str, Fill] = {
    "1": _title, "4": _objectives, "5a": _sources, "6a": _setting, "6b": _eligibility,
    "7": _preparation, "8a": _outcome, "9a": _initial, "9b": _predictors,
    "9c": lambda run: iter(["Nobody judges a predictor: all are computed."]),
    "10": _sample, "11": _missing, "12a": _partition, "12b": _handling, "12c": _model,
    "12d": list_clusters, "12e": list_measures, "13": _imbalance, "14": _fairness,
    "15": _output, "16": _difference, "18e": _data, "18f": _code, "20a": _flow,
    "20b": _characteristics, "21": _analyses, "23a": list_performance,
    "23b": lambda run: list_clusters(run, results=True), "25": _interpretation,
    "26": _limitations, "27a": _input_quality,
}  # fmt: skip
