"""Tables of an external validation on the page. Pure."""

from histo_ray.report.external.prediction_words import AT_THRESHOLD, METRIC_WORDS, OF_CLASSES
from histo_ray.report.external.validations import (
    Scored,
    ShownComparison,
    ShownValidation,
    by_metric,
)
from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.report.page_blocks import Column, Table

_OTHERS = ("auprc", "spearman", "r2")
_CALIBRATION = ("calibration_slope", "calibration_intercept", "observed_expected", "brier")
_NAMED = ("target", "metric", "predictor_a", "predictor_b")
_ABOUT = {
    "auprc": "Average precision; a guess has the share of positives",
    "r2": "About the mean of these patients",
    "calibration_slope": "1 is right; below: predictions are too extreme",
    "calibration_intercept": "0 is right; above: predictions are too low on average",
    "observed_expected": "Events by the predictor's time over those predicted: 1 is right",
    "brier": "Mean squared difference of probability and outcome",
    "ppv": "Share of those called positive that are",
    "npv": "Share of those called negative that are",
}


def tabulate_external(shown: ShownValidation, name: str) -> Table:
    """Tabulate all targets, best first: scores, calibration, calls at the predictor's threshold."""
    main = shown.record.metric
    single = {name: found for name, found in shown.by_target.items() if main in found}
    there = {metric for found in single.values() for metric in found}
    others = [one for one in _OTHERS if one in there]
    calibration = [one for one in _CALIBRATION if one in there]
    calls = [one for one in AT_THRESHOLD if one in there]
    columns = [
        Column("target", number=False),
        Column("patients"),
        Column("positives"),
        Column(METRIC_WORDS[main], "this cohort"),
        Column("interval", "this cohort", sort=False),
        Column(METRIC_WORDS[main], "training cohort", "By cross-validation"),
        Column("interval", "training cohort", sort=False),
        Column("optimism", about="Cross-validated score less the external one"),
    ]
    for group, metrics in (
        ("further scores", others),
        ("calibration", calibration),
        ("at the predictor's threshold", calls),
    ):
        for one in metrics:
            columns += [
                Column(METRIC_WORDS[one], group, _ABOUT.get(one, "")),
                Column("interval", group, sort=False),
            ]
    rows = []
    for target, found in single.items():
        row = found[main]
        cells = [target, f"{row.n_patients:,}", f"{row.positives:,}"]
        cells += [*_cells(row), format_score(row.trained)]
        cells += [format_interval(row.trained_low, row.trained_high)]
        cells.append(format_score(row.optimism, signed=True))
        for one in (*others, *calibration, *calls):
            cells += _cells(found.get(one))
        rows.append(cells)
    return Table(
        name,
        "All targets",
        columns,
        rows,
        searchable="targets",
        note="Intervals are 95 %, over patients: DeLong's on the logit scale (AUROC), Wilson's "
        "(AUPRC, shares), Wald's or Student's (calibration), bootstrap (others).",
    )


def tabulate_columns(shown: ShownValidation, name: str) -> Table | None:
    """Tabulate columns of several classes as wholes; None where there are none."""
    main = shown.record.metric
    whole = {target: found for target, found in shown.by_target.items() if main not in found}
    metrics = [one for one in OF_CLASSES if any(one in found for found in whole.values())]
    if not metrics:
        return None
    columns = [Column("column", number=False), Column("patients")]
    for one in metrics:
        columns += [Column(METRIC_WORDS[one]), Column("interval", sort=False)]
    rows = []
    for target, found in whole.items():
        first = next(iter(found.values()))
        cells = [target, f"{first.n_patients:,}"]
        for one in metrics:
            cells += _cells(found.get(one))
        rows.append(cells)
    return Table(
        name,
        "Columns of several classes",
        columns,
        rows,
        note="The class that is chosen is the most probable one, or of ordered classes the median. "
        "Intervals are 95 %, over patients: Wilson's (accuracy), bootstrap (others).",
    )


def tabulate_groups(shown: ShownValidation, name: str) -> Table | None:
    """Tabulate scores by site and by subgroup; None where there are no groups."""
    groups = shown.scores[shown.scores["column"] != ""]
    if not len(groups):
        return None
    there = set(groups["metric"])
    shown_metrics = (shown.record.metric, *_CALIBRATION[:2], *AT_THRESHOLD[:2])
    metrics = [one for one in shown_metrics if one in there]
    columns = [
        *(Column(head, number=False) for head in ("target", "column", "group")),
        Column("patients"),
        Column("positives"),
    ]
    for one in metrics:
        columns += [Column(METRIC_WORDS[one]), Column("interval", sort=False)]
    rank = {target: at for at, target in enumerate(shown.by_target)}
    rows = []
    parts = groups.groupby(["target", "column", "group"], sort=False)
    for (target, *key), own in sorted(parts, key=lambda part: rank[str(part[0][0])]):
        found = by_metric(own)
        first = next(iter(found.values()))
        cells = [str(target), *map(str, key), f"{first.n_patients:,}", f"{first.positives:,}"]
        for one in metrics:
            cells += _cells(found.get(one))
        rows.append(cells)
    title = "By site and subgroup"
    return Table(
        name,
        title,
        columns,
        rows,
        searchable="targets",
        folded=title if len(rows) > 30 else "",
        note="Groups with fewer than five labelled patients are left out; intervals of small "
        "groups are wide, and differences between groups are not tested.",
    )


def tabulate_comparison(shown: ShownComparison, name: str) -> Table:
    """Tabulate two predictors or more on the same patients."""
    columns = [
        *(Column(head, number=False) for head in ("target", "metric", "first", "second")),
        Column("first"),
        Column("second"),
        Column("difference", about="Second less first"),
        Column("interval", sort=False),
        Column("P"),
        Column("q", about="After Benjamini-Hochberg over targets"),
    ]
    read = shown.table[[*_NAMED, "score_a", "score_b", "difference", "low", "high", "p", "q"]]
    rows = [
        [
            target,
            METRIC_WORDS[metric],
            one,
            other,
            format_score(score_a),
            format_score(score_b),
            format_score(difference, signed=True),
            format_interval(low, high, signed=True),
            format_maybe_p(p),
            format_maybe_p(q),
        ]
        for target, metric, one, other, score_a, score_b, difference, low, high, p, q in (
            read.itertuples(index=False, name=None)
        )
    ]
    note = (
        "AUROC: DeLong's paired test. Others: difference over its bootstrap standard error. Both "
        "speak of other patients under the same fitted predictors."
    )
    return Table(name, "Predictors compared", columns, rows, searchable="targets", note=note)


def _cells(found: Scored | None) -> list[str]:
    """Score and interval; dashes where there is none."""
    if found is None:
        return ["–", "–"]
    return [format_score(found.score), format_interval(found.low, found.high)]
