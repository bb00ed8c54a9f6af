"""Columns of several classes on the page: how well each is told, and which are confused."""

import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.report.charts.confusion import draw_confusion
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.format_numbers import format_interval, format_score
from histo_ray.report.page_blocks import Block, Column, Figure, Figures, Table, Text, Title

DRAWN = 6
"""Confusion matrices drawn at most; the table `confusion` has all."""


def write_classes(run: TargetEvaluation, name: str) -> list[Block]:
    """Write the table of classes and their confusion; nothing of a run without several classes.

    Args:
        run: Of which only the columns that `run.targets` names are shown.
        name: Of its section.
    """
    if "classes.parquet" not in run.folder.names():
        return []
    columns = run.targets["target"].unique()
    try:
        classes, confusion = (run.folder.read(one).to_pandas() for one in ("classes", "confusion"))
    except StoreError as error:
        return [Text(f"Classes are not shown: {error}.", "empty")]
    own = classes[classes["target"].isin(columns)]
    if not len(own):
        return []
    return [
        _tabulate(own, f"{name}-classes"),
        *_draw(own, confusion[confusion["target"].isin(columns)], name),
    ]


def _tabulate(classes: pd.DataFrame, name: str) -> Table:
    encoders = list(dict.fromkeys(classes["encoder"]))
    columns = [
        Column("column", number=False),
        Column("class", number=False),
        Column("patients", about="With this class"),
    ]
    for encoder in encoders:
        columns += [
            Column("AUROC", encoder, "Of this class against all others, mean of the folds"),
            Column("95 % interval", encoder, "As of the columns' scores", sort=False),
            Column("recall", encoder, "Share of its patients for whom it is chosen"),
            Column("precision", encoder, "Share of those for whom it is chosen who have it"),
        ]
    rows = []
    for (target, label), own in classes.groupby(["target", "class"], sort=False):
        by_encoder = own.set_index("encoder")
        cells = [str(target), str(label), f"{int(own['n_patients'].iloc[0]):,}"]
        for encoder in encoders:
            row = by_encoder.loc[encoder]
            cells += [
                format_score(float(row["auroc"])),
                format_interval(float(row["low"]), float(row["high"])),
                format_score(float(row["recall"])),
                format_score(float(row["precision"])),
            ]
        rows.append(cells)
    return Table(
        name,
        "Classes",
        columns,
        rows,
        note="The class that is chosen is the most probable one, or of ordered classes the median. "
        "A rare class is seldom the most probable one, so read recall beside AUROC.",
    )


def _draw(classes: pd.DataFrame, confusion: pd.DataFrame, name: str) -> list[Block]:
    """Draw true by chosen classes of the first columns, an encoder each."""
    figures: list[Figure] = []
    for (target, encoder), own in confusion.groupby(["target", "encoder"], sort=False):
        if len(figures) == DRAWN:
            break
        rows = classes[(classes["target"] == target) & (classes["encoder"] == encoder)]
        names = rows.sort_values("number")["class"].tolist()
        table = own.pivot_table(index="class", columns="chosen", values="n_patients")
        counts = table.reindex(index=names, columns=names).fillna(0.0).to_numpy()
        chart = draw_confusion(counts, names, str(encoder), f"{name}-confusion-{len(figures)}")
        figures.append(Figure(chart, f"{target}, {encoder}", f"{target}: {encoder}"))
    return [Title("True and chosen classes"), Figures(figures, small=len(figures) > 4)]
