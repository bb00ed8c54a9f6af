"""Scores by site and by subgroup on the page."""

import pandas as pd

from histo_ray.evaluate.patients.review_tables import SUBGROUPS
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.charts import Whisker, draw_whiskers
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
from histo_ray.report.targets.review_data import (
    index_rows,
    rank_run,
    read_review,
    tell_rest,
    title_of,
)
from histo_ray.report.targets.subgroup_words import write_groups
from histo_ray.report.targets.target_section import split_run

NAME = "subgroups"
"""Id of the section in the page."""
DRAWN_GROUPS, DRAWN_TARGETS = 25, 5
"""Groups of a forest plot, and targets with a plot of their own, at most."""
LISTED = 2000
"""Rows of a table at most; the Parquet table has all."""
EVERYONE = "all patients"
_ABOUT = (
    "Patients of a group are compared with each other within a fold alone, as predictions of "
    "different folds come from different heads and are not on one scale; comparisons are pooled "
    "over folds and repeats. Lines are 95 % intervals over patients, made wider for what other "
    "training patients would change. Groups overlap by chance: differences between them are not "
    "tested, and of many groups some look worse than they are."
)


def write_subgroups(runs: list[TargetEvaluation], looks: dict[str, Look]) -> Section | None:
    """Write forest plots and tables of all columns; None where no run has any."""
    section = Section(NAME, "By site and subgroup")
    for number, run in enumerate(runs):
        data = read_review(run, SUBGROUPS)
        if data.problem:
            section.blocks.append(Text(f"There are no scores by group: {data.problem}.", "empty"))
        for column in dict.fromkeys(data.table.get("column", ())):
            frame = data.table[data.table["column"] == column]
            title = f"{title_of(run, runs)}by {column}"
            section.blocks.append(Title(f"{title[:1].upper()}{title[1:]}"))
            section.blocks += _write_column(run, frame, looks, f"{NAME}-{number}-{column}")
    if not section.blocks:
        return None
    section.blocks.append(Text(_ABOUT, "note"))
    return section


def _write_column(
    run: TargetEvaluation, frame: pd.DataFrame, looks: dict[str, Look], name: str
) -> list[Block]:
    column = str(frame["column"].iloc[0])
    blocks: list[Block] = [
        Text(f"{line}.", "sentence")
        for line in write_groups([g for g in run.record.review.groups if g.column == column], run)
    ]
    encoders = list(dict.fromkeys(frame["encoder"]))
    figures = _draw_all(run, frame, looks, name)
    if figures:
        blocks.append(Figures(figures, legend_of(looks, encoders)))
    blocks.append(_tabulate(run, frame, encoders, name))
    return blocks


def _draw_all(
    run: TargetEvaluation, frame: pd.DataFrame, looks: dict[str, Look], name: str
) -> list[Figure]:
    """Draw the mean over targets, then the targets that are predicted best."""
    several = bool((frame["target"] == "").any())
    shown = [""] if several else []
    shown += rank_run(run).scored[:DRAWN_TARGETS]
    words = {name: part.words for part in split_run(run) for name in part.targets["target"]}
    kinds = list(dict.fromkeys(words.values()))
    words[""] = kinds[0] if len(kinds) == 1 else run.words
    figures = []
    for number, target in enumerate(shown):
        own = frame[(frame["target"] == target) & frame["score"].notna()]
        if not len(own):
            continue
        groups = _largest(own)
        rows = [EVERYONE, *(f"{group} (n {count})" for group, count in groups.items())]
        series = {
            str(encoder): [
                _score_all(run, str(encoder), target),
                *(_whisker(some, group) for group in groups),
            ]
            for encoder, some in own.groupby("encoder", sort=False)
        }
        said = words[target]
        mixed = target == "" and len(kinds) > 1  # a guess has no one score
        guess = None if mixed else said.chance
        chart = draw_whiskers(rows, series, said.metric, looks, f"{name}-{number}", guess)
        head = f"mean over {run.words.target}s" if target == "" else target
        left = own["group"].nunique() - len(groups)
        caption = f"The {len(groups)} largest groups. " if left else ""
        caption += "The mean of all patients has no interval here. " if target == "" else ""
        caption += "" if mixed else "Dotted: a guess."
        figures.append(Figure(chart, caption.strip(), f"{said.metric}, {head}"))
    return figures


def _largest(own: pd.DataFrame) -> dict[str, int]:
    """Patients of the groups that are drawn, in the order of their names."""
    counts = own.groupby("group", sort=False)["n_patients"].max()
    kept = counts.sort_values(ascending=False, kind="stable")[:DRAWN_GROUPS].index
    return {str(group): int(count) for group, count in counts.items() if group in kept}


def _whisker(some: pd.DataFrame, group: str) -> Whisker:
    rows = some[some["group"] == group]
    if not len(rows):
        return Whisker(*[float("nan")] * 3)
    return Whisker(*(float(rows[column].iloc[0]) for column in Whisker._fields))


def _score_all(run: TargetEvaluation, encoder: str, target: str) -> Whisker:
    """Score of all patients; of several targets their mean, which has no interval."""
    own = run.targets[run.targets["encoder"] == encoder]
    if target == "":
        return Whisker(float(own["score"].mean()), float("nan"), float("nan"))
    row = own[own["target"] == target]
    return Whisker(*(float(row[column].iloc[0]) for column in Whisker._fields))


def _tabulate(run: TargetEvaluation, frame: pd.DataFrame, encoders: list[str], name: str) -> Table:
    """Tabulate all groups and targets, encoders beside each other; the mean over targets first."""
    word = run.words.target
    columns = [
        *(Column(head, number=False) for head in (word, "group")),
        Column("patients", about="With a label"),
        Column("positives"),
    ]
    for encoder in encoders:
        columns += [
            Column(run.words.metric_head, encoder, "Pooled over pairs of patients within folds"),
            Column("95 % interval", encoder, sort=False),
        ]
    if not (frame["positives"] > 0).any():
        columns = [column for column in columns if column.head != "positives"]
    order = {target: at for at, target in enumerate(["", *rank_run(run).targets])}
    total = len(frame[["target", "group"]].drop_duplicates())
    if len(order) > LISTED:  # each target has a row or more: others would not be shown
        frame = frame[frame["target"].isin(list(order)[:LISTED])]
    found = index_rows(frame, ("target", "group", "encoder"))
    groups = dict.fromkeys((target, group) for target, group, _ in found)
    rows = []
    for target, group in sorted(groups, key=lambda one: order.get(one[0], len(order))):
        first = found[target, group, encoders[0]]
        cells = [target or f"mean over {word}s", group, f"{first.n_patients:,}"]
        if any(column.head == "positives" for column in columns):
            cells.append(f"{first.positives:,}" if target else "–")
        for encoder in encoders:
            one = found[target, group, encoder]
            cells += [format_score(one.score), format_interval(one.low, one.high)]
        rows.append(cells)
    title = f"All groups by {frame['column'].iloc[0]}"
    return Table(
        f"{name}-table",
        title,
        columns,
        rows[:LISTED],
        searchable="rows",
        folded=f"{title}: {total:,} rows" if total > 12 else "",
        note=(
            "Groups with fewer than five patients of a class (for survival: with or without an "
            "event), or ten where targets are numbers, have no score."
        )
        + tell_rest(total - LISTED, SUBGROUPS),
    )
