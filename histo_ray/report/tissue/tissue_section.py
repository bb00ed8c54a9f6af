"""The tissue task on the page."""

from collections.abc import Sequence

import numpy as np

from histo_ray.evaluate.evaluation_record import TileComparisonRecord
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.charts import Whisker, draw_whiskers
from histo_ray.report.charts.confusion import draw_confusion
from histo_ray.report.evaluations import TileEvaluation
from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.report.page_blocks import Block, Column, Figure, Figures, Section, Table, Text, Title
from histo_ray.report.page_blocks import legend_of as legend
from histo_ray.report.targets.interval_words import EXPECTED_SCORE, OF_THE_TEST, note_coverage
from histo_ray.report.tissue.tissue_words import (
    describe_colour,
    name_split,
    write_sentence,
    write_single_sentence,
)
from histo_ray.text import count_of

_NOT_A_NUMBER = float("nan")
_NO_ENDS = (_NOT_A_NUMBER, _NOT_A_NUMBER)
_DRAWN = {"tile": "tiles", "group": "groups (patients)"}


def _p_values(row: TileComparisonRecord) -> tuple[float | None, ...]:
    return row.p_corrected, row.q_corrected, row.p_plain


def _number(value: float | None) -> float:
    """Return a figure, or nan where there is none."""
    return _NOT_A_NUMBER if value is None else value


def _how(row: TileComparisonRecord) -> str:
    """How the interval of a difference is made."""
    if row.split != "test":
        return OF_THE_TEST
    return f"Percentile bootstrap over {_DRAWN[row.drawn]}: the heads have seen none of them"


def tissue_sentences(run: TileEvaluation) -> list[str]:
    """Give the sentences a paper would print, cross-validation first."""
    record = run.record
    sentences = []
    for split, by_name in record.summary.items():
        rows = [row for row in record.comparisons if row.split == split]
        between = [row for row in rows if row.encoder_a != record.baseline]
        if not between:
            sentences += [
                write_single_sentence(name, split, record)
                for name in by_name
                if name != record.baseline
            ]
        sentences += [
            write_sentence(row, record)
            for row in (*between, *(row for row in rows if row.encoder_a == record.baseline))
            if row.metric == "accuracy"
        ]
    return sentences


def write_tissue(run: TileEvaluation, looks: dict[str, Look], name: str) -> Section:
    """Write confusion, recalls and differences, for cross-validation and external tiles."""
    record = run.record
    tiles = record.sets["tiles"]
    section = Section(name, f"{run.words.title}: {tiles.name}")
    sentences = [Text(sentence, "sentence") for sentence in tissue_sentences(run)]
    classes = ", ".join(f"{label} {count:,}" for label, count in tiles.classes.items())
    section.blocks += [
        *sentences,
        Text(
            f"{count_of(tiles.tiles, 'tile')} in {len(record.classes)} classes ({classes}). A "
            f"{record.head} head on each encoder's embeddings, {name_split('cv', record)}"
            f"{'; all encoders on the same folds' if len(record.encoders) > 1 else ''}."
        ),
    ]
    for split in record.summary:
        section.blocks += _write_split(run, split, looks, f"{name}-{split}")
    return section


def _write_split(run: TileEvaluation, split: str, looks: dict[str, Look], name: str) -> list[Block]:
    record = run.record
    found = record.summary[split]
    blocks: list[Block] = []
    if split == "test":
        outside = record.sets["test_tiles"]
        blocks.append(
            Title(f"External test set: {outside.name}, {count_of(outside.tiles, 'tile')}")
        )
    if split == "random":
        blocks.append(Title(f"The same tiles, {name_split(split, record)}"))
    blocks += [Text(f"{line[0].upper()}{line[1:]}.") for line in describe_colour(split, record)]
    matrices = [
        Figure(
            draw_confusion(summary.confusion, record.classes, encoder, f"{name}-matrix-{number}"),
            f"Percent of each true class (a row is 100 %). Accuracy "
            f"{100 * summary.accuracy:.1f} %.",
            encoder,
        )
        for number, (encoder, summary) in enumerate(found.items())
        if encoder != record.baseline
    ]
    rows = [row for row in record.comparisons if row.split == split]
    between = [row for row in rows if row.encoder_a != record.baseline]
    differences = [_draw_differences(between, record.classes, looks, name)] if between else []
    names = [name for name in found if name != record.baseline]
    keys = legend(looks, names) if len(names) > 2 else []
    blocks += [Figures([*matrices, *differences], keys), _tabulate_scores(run, split, name)]
    return blocks + ([_tabulate_rows(rows, name)] if rows else [])


def _tabulate_scores(run: TileEvaluation, split: str, name: str) -> Table:
    recall = "recall: share of the class that was found"
    columns = [
        Column("encoder", number=False),
        Column("accuracy", about="Share of tiles that are right, mean over folds"),
        Column("95 % interval", about=EXPECTED_SCORE, sort=False),
        Column("balanced", about="Balanced accuracy: mean recall of the classes"),
        Column("95 % interval ", about=EXPECTED_SCORE, sort=False),
        *(Column(label, recall) for label in run.record.classes),
    ]
    rows = [
        [
            f"{encoder} (baseline)" if encoder == run.record.baseline else encoder,
            format_score(found.accuracy),
            format_interval(_number(found.accuracy_low), _number(found.accuracy_high)),
            format_score(found.balanced_accuracy),
            format_interval(_number(found.balanced_low), _number(found.balanced_high)),
            *(format_score(_number(r)) for r in found.recalls),
        ]
        for encoder, found in run.record.summary[split].items()
    ]
    held = "" if split == "test" else note_coverage(run.record, run.words.score).strip()
    return Table(f"{name}-scores", "Accuracy and recalls", columns, rows, note=held)


def _draw_differences(
    rows: Sequence[TileComparisonRecord],
    classes: tuple[str, ...],
    looks: dict[str, Look],
    name: str,
) -> Figure:
    """Draw the recalls of the other encoders minus that of the first, by class."""
    first = rows[0].encoder_a
    recalls = [row for row in rows if row.metric == "recall" and row.encoder_a == first]
    others = list(dict.fromkeys(row.encoder_b for row in recalls))
    missing = Whisker(*[_NOT_A_NUMBER] * 3)
    there = {
        (row.encoder_b, row.label): Whisker(_number(row.difference), *(row.interval or _NO_ENDS))
        for row in recalls
    }
    shown = [label for label in classes if any((other, label) in there for other in others)]
    size = {label: np.mean([there.get((o, label), missing)[0] for o in others]) for label in shown}
    shown.sort(key=lambda label: -float(np.nan_to_num(size[label])))
    series = {other: [there.get((other, label), missing) for label in shown] for other in others}
    chart = draw_whiskers(
        shown, series, f"recall minus that of {first}", looks, f"{name}-recalls", 0.0
    )
    caption = (
        "To the right of the dotted line the class is found more often than with "
        f"{first}. Lines: 95 % intervals. {_how(rows[0])}."
    )
    of = f", {others[0]}" if len(others) == 1 else ""
    return Figure(chart, caption, f"Difference in recall{of}")


def _tabulate_rows(rows: Sequence[TileComparisonRecord], name: str) -> Table:
    columns = [
        Column("score", number=False),
        Column("encoders", number=False, about="Difference: the first minus the second"),
        Column("difference"),
        Column("95 % interval", about=_how(rows[0]), sort=False),
    ]
    tested = any(row.p_corrected is not None for row in rows)
    if tested:
        columns += [
            Column("P", about="Corrected resampled t-test (Nadeau and Bengio 2003)"),
            Column("q", about="The same after Benjamini-Hochberg over rows of this score"),
            Column("P, plain", about="A t-test that takes folds for independent: far too sure"),
        ]
    cells = [
        [
            f"{row.metric.replace('_', ' ')} {row.label}".strip(),
            f"{row.encoder_b} - {row.encoder_a}",
            format_score(_number(row.difference), signed=True),
            format_interval(*(row.interval or _NO_ENDS), signed=True),
            *(
                [format_maybe_p(p) for p in (row.p_corrected, row.q_corrected, row.p_plain)]
                if tested
                else []
            ),
        ]
        for row in rows
    ]
    return Table(f"{name}-differences", "Differences between encoders", columns, cells)
