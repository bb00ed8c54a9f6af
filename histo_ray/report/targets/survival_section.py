"""What a page says of survival beside C-indices: curves by risk, and scores at times."""

from typing import Any

import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.survival_chart import Curve, draw_survival
from histo_ray.report.evaluations import TargetEvaluation, read_rows
from histo_ray.report.format_numbers import format_maybe_p, format_score
from histo_ray.report.page_blocks import Block, Column, Figure, Figures, Table, Text, Title
from histo_ray.report.targets.target_table import RankedTargets
from histo_ray.schema import column_names

DRAWN = 6
"""Endpoints whose curves are drawn at most."""


def write_survival(
    run: TargetEvaluation, scores: RankedTargets, looks: dict[str, Look], name: str
) -> list[Block]:
    """Write curves of the best endpoints, and the tables; a sentence where they cannot be read."""
    try:
        summary, times, curves = (
            read_rows(run.folder, table, column_names(f"outcome_{table}"), scores.scored)
            for table in ("survival", "survival_times", "survival_curves")
        )
    except StoreError as error:
        return [Text(f"There are no survival curves: {error}.", "empty")]
    return [
        Title("Survival by out-of-fold risk"),
        _draw_curves(scores, summary, curves, looks, name),
        _tabulate_summary(scores, summary, f"{name}-survival"),
        _tabulate_times(scores, summary, times, f"{name}-times"),
    ]


def _draw_curves(
    scores: RankedTargets,
    summary: pd.DataFrame,
    curves: pd.DataFrame,
    looks: dict[str, Look],
    name: str,
) -> Figures:
    figures = []
    for number, target in enumerate(scores.scored[:DRAWN]):
        for place, encoder in enumerate(scores.encoders):
            own = curves[(curves["target"] == target) & (curves["encoder"] == encoder)]
            facts = summary[(summary["target"] == target) & (summary["encoder"] == encoder)]
            if own.empty or facts.empty:
                continue
            halves = {
                str(half): Curve(*(rows[key].to_numpy() for key in ("time", "survival", "at_risk")))
                for half, rows in own.groupby("half", sort=False)
            }
            fact = facts.iloc[0]
            chart = f"{name}-km-{number}-{place}"
            figures.append(
                Figure(
                    draw_survival(
                        target, encoder, halves, str(fact["unit"]), looks[encoder], chart
                    ),
                    f"{encoder}: P {format_maybe_p(float(fact['p_halves']))}. "
                    f"{fact['events']:,} events of {fact['n_patients']:,} patients.",
                    target,
                )
            )
    return Figures(figures)


def _tabulate_summary(scores: RankedTargets, summary: pd.DataFrame, name: str) -> Table:
    columns = [
        Column("endpoint", number=False),
        Column("encoder", number=False),
        Column("median follow-up", about="Reverse Kaplan-Meier: censoring is the event"),
        Column("horizon", about="Last event at which a tenth of the patients is still followed"),
        Column("integrated Brier", about="From 0 to the horizon; 0 is best"),
        Column("of Kaplan-Meier", about="The same of the training part's Kaplan-Meier curve"),
        Column("P of halves", about="Corrected resampled t-test over the folds' log-rank z"),
    ]
    rows = []
    for row in _in_order(scores, summary):
        unit = f" {row['unit']}" if row["unit"] else ""
        rows.append(
            [
                row["target"],
                row["encoder"],
                _format_time(row["median_follow_up"], unit),
                _format_time(row["horizon"], unit),
                format_score(row["brier"]),
                format_score(row["brier_km"]),
                format_maybe_p(row["p_halves"]),
            ]
        )
    note = (
        "Halves are made at the median risk of each fold and repeat, as risks of two folds come "
        "from two heads; curves and numbers at risk are means over repeats. A log-rank test over "
        "all out-of-fold risks is not given: they come from heads that share patients, so it "
        "would be too sure (Simon et al. 2011, Brief Bioinform 12:203). P is that of the corrected "
        "resampled t-test over the log-rank statistics of the folds, one-sided and uncorrected for "
        "the number of endpoints; the C-index with its q decides. A Brier score below that of "
        "Kaplan-Meier says that risks are worth something as probabilities, too."
    )
    return Table(name, "Survival of halves, and Brier scores", columns, rows, note=note)


def _tabulate_times(
    scores: RankedTargets, summary: pd.DataFrame, times: pd.DataFrame, name: str
) -> Table:
    columns = [
        Column("endpoint", number=False),
        Column("encoder", number=False),
        Column("time"),
        Column("events", about="Patients with an event by then"),
        Column("at risk", about="Patients known to be without one after it"),
        Column("AUC", about="Cumulative/dynamic: events by then against no event by then"),
        Column("Brier", about="0 is best"),
        Column("of Kaplan-Meier", about="Brier score of the training part's Kaplan-Meier curve"),
    ]
    units = dict(zip(summary["target"], summary["unit"], strict=True))
    rows = []
    for row in _in_order(scores, times):
        unit = f" {units[row['target']]}" if units.get(row["target"]) else ""
        rows.append(
            [
                row["target"],
                row["encoder"],
                _format_time(row["time"], unit),
                f"{row['events']:,}",
                f"{row['at_risk']:,}",
                *(format_score(row[key]) for key in ("auc", "brier", "brier_km")),
            ]
        )
    title = "Scores at single times"
    return Table(name, title, columns, rows, folded=title)


def _in_order(scores: RankedTargets, frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows by endpoint, best first, then encoder as listed."""
    place = {name: at for at, name in enumerate(scores.targets)}
    encoders = {name: at for at, name in enumerate(scores.encoders)}
    rows = frame.to_dict("records")
    return sorted(
        rows, key=lambda row: (place[row["target"]], encoders[row["encoder"]], row.get("time", 0.0))
    )


def _format_time(time: float, unit: str) -> str:
    return "–" if time != time else f"{time:.4g}{unit}"
