"""Probabilities of classes as numbers, on the page: calibration, Brier's score, net benefit."""

import numpy as np
import pandas as pd

from histo_ray.evaluate.patients.review_tables import (
    CALIBRATION,
    CALIBRATION_CURVES,
    DECISION_CURVES,
)
from histo_ray.report.charts.calibration_chart import draw_calibration
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.decision_chart import draw_decisions
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.format_numbers import format_interval, format_score
from histo_ray.report.page_blocks import (
    Block,
    Column,
    Figure,
    Figures,
    Section,
    Table,
    Text,
    Title,
    legend_of,
)
from histo_ray.report.targets.review_data import index_rows, rank_run, read_review, title_of

NAME = "probabilities"
"""Id of the section in the page."""
DRAWN = 8
"""Targets whose curves are drawn at most."""
LISTED = 2000
_METRICS = {
    "calibration_slope": ("slope", "1 is right; below: probabilities are too extreme"),
    "calibration_intercept": (
        "intercept",
        "In logits, slope held at 1. 0 is right; above: too low on average. Near 0 by construction",
    ),
    "brier": ("Brier", "Mean squared difference of probability and outcome; 0 is best"),
    "brier_skill": ("skill", "1 - Brier over that of the training part's prevalence; 0 is a guess"),
}
_CAVEAT = (
    "This is calibration in cross-validation: of the heads of the folds, on patients of the same "
    "sites and with the same share of positives as those that they were trained on, which is why "
    "intercepts are near 0. It says nothing of how a predictor is calibrated elsewhere; predict "
    "with --labels says that. Where a target is hardly predicted, a slope has no meaning, whatever "
    "its value."
)
_DECISIONS = (
    "Net benefit (Vickers and Elkin 2006): true positives a patient, less false positives weighed "
    "by the odds of the threshold, of acting on all whose probability is at least the threshold. "
    "Dotted: acting on all; the grey line at 0: acting on none. A head is of use where it is above "
    "both. decision_curves.parquet has intervals."
)


def write_probabilities(runs: list[TargetEvaluation], looks: dict[str, Look]) -> Section | None:
    """Write calibration and decision curves; None where no run has any."""
    section = Section(NAME, "Calibration and net benefit")
    for number, run in enumerate(runs):
        data = read_review(run, CALIBRATION)
        if data.problem:
            section.blocks.append(Text(f"There is no calibration: {data.problem}.", "empty"))
        if not len(data.table):
            continue
        name = f"{NAME}-{number}"
        if len(runs) > 1:
            section.blocks.append(Title(title_of(run, runs).removesuffix(": ")))
        section.blocks += _summarise(run)
        section.blocks.append(Text(_CAVEAT))
        section.blocks += _draw_calibration(run, looks, name)
        section.blocks.append(_tabulate(run, data.table, name))
        section.blocks += _draw_decisions(run, looks, name)
    return section if section.blocks else None


def _summarise(run: TargetEvaluation) -> list[Block]:
    """Write a sentence an encoder."""
    found = []
    for encoder, one in run.record.review.calibration.items():
        if one.slope is None or one.brier_skill is None:
            continue
        median = "median " if run.record.labels.targets > 1 else ""
        found.append(
            Text(
                f"Out-of-fold probabilities of {encoder} have a {median}calibration slope of "
                f"{one.slope:.2f} (1 is right) and a {median}Brier skill of "
                f"{one.brier_skill:+.3f} against the share of positives.",
                "sentence",
            )
        )
    return [*found]


def _draw_calibration(run: TargetEvaluation, looks: dict[str, Look], name: str) -> list[Block]:
    data = read_review(run, CALIBRATION_CURVES)
    figures, ranked = [], rank_run(run)
    for number, target in enumerate(ranked.scored[:DRAWN] if len(data.table) else ()):
        own = data.table[data.table["target"] == target]
        curves = {
            str(encoder): some[["predicted", "observed", "low", "high"]].to_numpy(np.float64).T
            for encoder, some in own.groupby("encoder", sort=False)
        }
        if curves:
            chart = draw_calibration(target, curves, looks, f"{name}-curve-{number}")
            figures.append(Figure(chart, _name_slopes(run, target), target))
    if not figures:
        return []
    title = "Calibration: observed against predicted"
    return [Title(title), Figures(figures, legend_of(looks, ranked.encoders), small=True)]


def _name_slopes(run: TargetEvaluation, target: str) -> str:
    """Caption of a calibration plot."""
    table = read_review(run, CALIBRATION).table
    own = table[(table["target"] == target) & (table["metric"] == "calibration_slope")]
    slopes = [format_score(score) for score in own["score"]]
    return f"slope {', '.join(slopes)}" if slopes else ""


def _draw_decisions(run: TargetEvaluation, looks: dict[str, Look], name: str) -> list[Block]:
    data = read_review(run, DECISION_CURVES)
    figures, ranked = [], rank_run(run)
    for number, target in enumerate(ranked.scored[:DRAWN] if len(data.table) else ()):
        own = data.table[data.table["target"] == target]
        benefits = {
            str(encoder): some["net_benefit"].to_numpy(np.float64)
            for encoder, some in own.groupby("encoder", sort=False)
        }
        if not benefits:
            continue
        first = own[own["encoder"] == own["encoder"].iloc[0]]
        chart = draw_decisions(
            target,
            first["threshold"].to_numpy(np.float64),
            benefits,
            first["treat_all"].to_numpy(np.float64),
            looks,
            f"{name}-decision-{number}",
        )
        share = first["positives"].iloc[0] / first["n_patients"].iloc[0]
        figures.append(Figure(chart, f"{share:.0%} positive", target))
    if not figures:
        return []
    return [
        Title("Decision curves: net benefit of acting"),
        Figures(figures, legend_of(looks, ranked.encoders), small=True),
        Text(_DECISIONS, "note"),
    ]


def _tabulate(run: TargetEvaluation, table: pd.DataFrame, name: str) -> Table:
    ranked = rank_run(run)
    columns = [
        Column(run.words.target, number=False),
        Column("patients", about="With a label"),
        Column("positives"),
    ]
    for encoder in ranked.encoders:
        for head, about in _METRICS.values():
            columns += [
                Column(head, encoder, about),
                Column("95 % interval", encoder, sort=False),
            ]
    found = index_rows(table, ("target", "encoder", "metric"))
    counts = {target: one for (target, _, _), one in found.items()}
    rows = []
    for target in [one for one in ranked.targets if one in counts][:LISTED]:
        row = [target, f"{counts[target].n_patients:,}", f"{counts[target].positives:,}"]
        for encoder in ranked.encoders:
            for metric in _METRICS:
                one = found.get((target, encoder, metric))
                row += (
                    ["–", "–"]
                    if one is None
                    else [format_score(one.score), format_interval(one.low, one.high)]
                )
        rows.append(row)
    title = "Calibration and Brier's score"
    return Table(
        f"{name}-table",
        title,
        columns,
        rows,
        searchable=f"{run.words.target}s",
        folded=f"{title}: {len(rows):,} {run.words.target}s" if len(rows) > 30 else "",
        note="Slope and intercept: median over repeats, Wald's intervals; Brier: mean over "
        "repeats, intervals over patients; all made wider for what other training patients change.",
    )
