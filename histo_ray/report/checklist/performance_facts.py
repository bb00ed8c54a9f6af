"""Performance of an evaluation of patients, by item of TRIPOD+AI."""

from collections.abc import Iterator

from histo_ray.evaluate.patients.review_tables import CALIBRATION, DECISION_CURVES
from histo_ray.report.checklist.common_facts import name_many, score_text
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.format_numbers import format_score
from histo_ray.report.targets.review_data import index_rows, rank_run, read_review
from histo_ray.report.targets.subgroup_words import describe_sites, write_groups
from histo_ray.report.targets.target_section import target_sentences

GROUPED = 12
"""Groups whose scores are given."""


def list_measures(run: TargetEvaluation) -> Iterator[str]:
    """Name measures, tests and plots."""
    words, record = run.words, run.record
    others = [f"{one.head} ({one.about[:1].lower()}{one.about[1:]})" for one in words.other_scores]
    beside = f"; beside it {', '.join(others)}" if others else ""
    yield (
        f"Discrimination: {words.metric} within a fold, mean over folds and repeats (a guess has "
        f"{words.chance:g}), with 95 % intervals{beside}."
    )
    if record.chance_test:
        yield f"Better than chance: {record.chance_test}; q after Benjamini-Hochberg."
    if record.pairs:
        yield "Comparison of encoders: corrected resampled t-test over the same folds, q likewise."
    there = set(run.folder.names())
    if f"{CALIBRATION}.parquet" in there:
        yield (
            "Calibration: slope, intercept and curve of out-of-fold probabilities; Brier's score "
            "and its skill against the share of positives."
        )
    if f"{DECISION_CURVES}.parquet" in there:
        yield "Clinical utility: decision curve (net benefit at thresholds of 1 to 99 %)."


def list_performance(run: TargetEvaluation) -> Iterator[str]:
    """Give scores with intervals, comparisons, calibration, and scores of subgroups."""
    ranked = rank_run(run)
    for encoder in ranked.encoders:
        own = index_rows(run.targets[run.targets["encoder"] == encoder], ("target",))
        named = [
            f"{target} {score_text(*own[target,][2:])}"
            for target in ranked.scored
            if (target,) in own
        ]
        yield f"{run.words.metric} with {encoder}: {name_many(named, 'targets.parquet')}."
    yield from target_sentences(run)
    table = read_review(run, CALIBRATION).table
    if len(table):
        found = index_rows(table, ("encoder", "target", "metric"))
        for encoder in ranked.encoders:
            named = [
                f"{target} {format_score(found[encoder, target, 'calibration_slope'].score)}, "
                f"{format_score(found[encoder, target, 'brier'].score)}"
                for target in ranked.scored
                if (encoder, target, "brier") in found
            ]
            yield (
                f"Calibration slope and Brier score with {encoder}: "
                f"{name_many(named, 'calibration.parquet')}."
            )
    yield from _list_groups(run, site=False)


def list_clusters(run: TargetEvaluation, results: bool = False) -> Iterator[str]:
    """Say how scores differ between sites, or how that was looked at."""
    sites = any(one.column == "site" for one in run.record.review.groups)
    if results:
        yield from _list_groups(run, site=True)
        yield from (f"{line}." for line in describe_sites(run.record, run.words))
        return
    if sites:
        yield (
            "Scores are given by site, from comparisons of patients within folds, with intervals; "
            "differences between sites are not tested."
        )
    if run.record.review.sites:
        yield (
            "How well embeddings tell the site is measured by cross-validated logistic regression, "
            "and how well the site alone predicts the outcome by its mean in the training part."
        )
    kept = run.record.folds.kept_together
    if kept == "site":
        yield "Whole sites are kept in one fold, so every test part has sites not trained on."
    elif sites:
        yield "Sites are not kept in one fold."


def _list_groups(run: TargetEvaluation, site: bool) -> Iterator[str]:
    groups = [one for one in run.record.review.groups if (one.column == "site") == site]
    yield from (f"{line}." for line in write_groups(groups, run))
