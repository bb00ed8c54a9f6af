"""A task with targets (expression, mutation) on the page."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.evaluate.columns.label_record import LabelRecord
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.tasks.base import Chart
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.charts import Pair, Whisker, draw_roc, draw_scatter, draw_whiskers
from histo_ray.report.charts.roc import mean_roc
from histo_ray.report.evaluations import TargetEvaluation, read_batches, read_rows
from histo_ray.report.format_numbers import format_score
from histo_ray.report.page_blocks import Block, Column, Figure, Figures, Section, Table, Text, Title
from histo_ray.report.page_blocks import legend_of as legend
from histo_ray.report.targets.class_section import write_classes
from histo_ray.report.targets.confounder_section import write_confounder_blocks
from histo_ray.report.targets.confounder_words import describe_folds
from histo_ray.report.targets.interval_words import note_coverage
from histo_ray.report.targets.mil_section import tabulate_members
from histo_ray.report.targets.survival_section import write_survival
from histo_ray.report.targets.target_counts import LEVEL, count_found, count_pair
from histo_ray.report.targets.target_counts_table import tabulate_counts
from histo_ray.report.targets.target_endpoint import explain_interval, tabulate_endpoints
from histo_ray.report.targets.target_table import (
    RankedTargets,
    rank_targets,
    tabulate_targets,
)
from histo_ray.report.targets.target_words import one_sided, split_record, write_sentences
from histo_ray.text import count_of

CURVES = 12
"""Targets whose ROC curves are drawn at most."""
_READ = ("target", "encoder", "repeat", "fold", "truth", "predicted")


def write_targets(run: TargetEvaluation, looks: dict[str, Look], name: str) -> Section:
    """Write sentences, charts, counts and the table of all targets, kind by kind."""
    parts = split_run(run)
    if len(parts) == 1:
        return _write_part(parts[0], looks, name)
    section = Section(name, run.words.title)
    for number, part in enumerate(parts):
        section.blocks.append(Title(part.words.title))
        section.blocks += _write_part(part, looks, f"{name}-{number}").blocks
    return section


def split_run(run: TargetEvaluation) -> list[TargetEvaluation]:
    """Split a run into the parts that are told in their own words, as its record is."""
    parts = split_record(run.record)
    if len(parts) == 1:
        ((words, record),) = parts
        return [replace(run, words=words, record=record)]
    return [
        replace(
            run,
            words=words,
            record=record,
            targets=_take_columns(run.targets, record),
            comparisons=_take_columns(run.comparisons, record),
        )
        for words, record in parts
    ]


def _take_columns(table: pd.DataFrame, record: PatientRecord) -> pd.DataFrame:
    if not isinstance(record, LabelRecord):
        return table
    return table[table["target"].isin([column.name for column in record.columns])]


def _write_part(run: TargetEvaluation, looks: dict[str, Look], name: str) -> Section:
    record, words = run.record, run.words
    scores = rank_targets(run.targets, run.comparisons, list(record.encoders))
    section = Section(name, words.title)
    section.blocks += [Text(sentence, "sentence") for sentence in target_sentences(run)]
    folds = record.folds
    kept = f", each {folds.kept_together} whole in one fold" if folds.kept_together else ""
    targets = count_of(len(scores.targets), words.target)
    patients = count_of(record.cohort.patients_used, "patient")
    same = "; all encoders on the same patients and folds" if len(scores.encoders) > 1 else ""
    test = (
        f" Whether a target is better than chance is tested by a {one_sided(record.chance_test)}; "
        "intervals are two-sided and of the score on new patients, so one may include a guess "
        "where P is below 0.05."
        if record.chance_test and run.targets["q_chance"].notna().any()
        else ""
    )
    section.blocks.append(
        Text(
            f"{targets}, {patients}, {describe_folds(record)}{kept}"
            f"{same}. Penalties, and pooling and head where several were tried, are chosen inside "
            f"the training part of each fold.{test}"
        )
    )
    if not scores.scored:
        section.blocks.append(Text(f"No {words.target} could be scored.", "empty"))
        section.blocks += _write_rest(run, name)
        return section
    if any(pair.endpoint for pair in record.pairs):
        section.blocks.append(tabulate_endpoints(record.pairs, words, f"{name}-endpoints"))
    section.blocks.append(_tabulate_encoders(run, scores, name))
    section.blocks += _draw_all(run, scores, looks, name)
    if Chart.ROC in words.charts:
        section.blocks += _draw_curves(run, scores, looks, name)
    if Chart.SURVIVAL in words.charts:
        section.blocks += write_survival(run, scores, looks, name)
    section.blocks.append(tabulate_targets(scores, words, f"{name}-genes"))
    section.blocks += write_classes(run, name)
    if scores.pairs:
        counts = [count_pair(run.targets, run.comparisons, *pair) for pair in scores.pairs]
        section.blocks.append(tabulate_counts(counts, f"{name}-counts", words.target))
    section.blocks += write_confounder_blocks(run, name)
    section.blocks += _write_rest(run, name)
    return section


def target_sentences(run: TargetEvaluation) -> list[str]:
    """Give the sentences of a run; of one without a summary, one an encoder from its tables."""
    if any(found.targets for found in run.record.summary.values()):
        return write_sentences(run.record)
    sentences = []
    for encoder in dict.fromkeys(run.targets["encoder"]):
        count, _, sure = count_found(run.targets, encoder)
        mean = run.targets.loc[run.targets["encoder"] == encoder, "score"].mean()
        sentences.append(
            f"With {encoder}, {sure:,} of {count_of(count, run.words.target)} were predicted "
            f"better than chance (q < {LEVEL}); mean {run.words.score} {format_score(mean)}."
        )
    return sentences


def main_sentence(run: TargetEvaluation) -> str:
    """Choose the sentence that stands first: the primary endpoint, if encoders are compared."""
    run = split_run(run)[0]
    sentences = target_sentences(run)
    if not sentences:
        return "Nothing could be evaluated."
    old = any(pair.endpoint is None for pair in run.record.pairs)
    return sentences[-len(run.record.pairs) if old else 0]


def _tabulate_encoders(run: TargetEvaluation, scores: RankedTargets, name: str) -> Table:
    metric, noun = run.words.metric, run.words.target
    chance = run.record.chance_test
    test = f"{chance[:1].upper()}{chance[1:]}." if chance else ""
    columns = [
        Column("encoder", number=False),
        Column(f"{noun}s", about="With a score"),
        Column(f"mean {metric}"),
        Column(f"median {metric}"),
        Column("best", about="Highest score"),
        Column(f"best {noun}", number=False),
        Column("q < 0.05", "better than chance", f"{test} After Benjamini-Hochberg over {noun}s"),
    ]
    rows = []
    for encoder, frame in scores.by_encoder.items():
        count, _, sure = count_found(run.targets, encoder)
        best = str(frame["score"].idxmax()) if count else ""
        top = [frame["score"].mean(), frame["score"].median(), frame["score"].max()]
        better = f"{sure:,}" if frame["q_chance"].notna().any() else "not tested"
        rows.append([encoder, f"{count:,}", *map(format_score, top), best, better])
    return Table(f"{name}-encoders", "Encoders", columns, rows)


def _draw_all(
    run: TargetEvaluation, scores: RankedTargets, looks: dict[str, Look], name: str
) -> list[Block]:
    words = run.words
    metric, shown = words.metric, scores.scored[: words.most_drawn]
    series = {
        encoder: [Whisker(*row) for row in frame.loc[shown, ["score", "low", "high"]].to_numpy()]
        for encoder, frame in scores.by_encoder.items()
    }
    chart = draw_whiskers(shown, series, metric, looks, f"{name}-whiskers", words.chance)
    of = (
        f"The {len(shown)} best of {len(scores.scored):,} {words.target}s"
        if len(shown) < len(scores.scored)
        else f"All {words.target}s, best first"
    )
    lines = (
        f"Lines are 95 % intervals {explain_interval(run.record)}. Dotted: a guess."
        f"{note_coverage(run.record, words.score)}"
        if run.targets["low"].notna().any()
        else "There are no intervals, as independent patients or sites are too few. "
        "Dotted: a guess."
    )
    caption = f"{of}. {lines}"
    figures = [
        Figure(
            draw_scatter(_pair_up(scores, pair), pair, metric, looks, f"{name}-scatter-{number}"),
            f"A point is a {words.target}; above the line it is predicted better with "
            f"{pair[1]}. Coloured: both together predict it better than chance, and among such "
            f"{words.target}s the difference has q < 0.05 (▲ higher with {pair[1]}, ▼ with "
            f"{pair[0]}).",
            f"{pair[1]} against {pair[0]}",
        )
        for number, pair in enumerate(scores.first_pairs if scores.pairs else [])
    ]
    whiskers = Figure(chart, caption, f"{metric} with interval")
    keys = legend(looks, scores.encoders)
    return [Figures([*figures, whiskers], keys, about=f"{name}-genes")]


def _pair_up(scores: RankedTargets, pair: tuple[str, str]) -> Pair:
    frame = scores.by_pair[pair]
    return Pair(
        scores.targets,
        frame["score_a"].to_numpy(np.float64),
        frame["score_b"].to_numpy(np.float64),
        (frame["q_found"] < LEVEL).to_numpy(bool),
    )


def _draw_curves(
    run: TargetEvaluation, scores: RankedTargets, looks: dict[str, Look], name: str
) -> list[Block]:
    """Draw the best targets' ROC curves; a sentence stands there if predictions cannot be read."""
    shown = scores.scored[:CURVES]
    try:
        frame = read_rows(run.folder, "predictions", _READ, shown)
    except StoreError as error:
        return [Text(f"There are no ROC curves: {error}.", "empty")]
    figures = []
    for number, target in enumerate(shown):
        rows = frame[frame["target"] == target]
        curves = {}
        for encoder in scores.encoders:
            some = rows[rows["encoder"] == encoder]
            curve = mean_roc(some["truth"], some["predicted"], some["repeat"], some["fold"])
            if curve is not None:
                curves[encoder] = curve
        positives = [frame["positives"][target] for frame in scores.by_encoder.values()]
        caption = count_of(int(np.nanmax(positives)), "positive")
        chart = draw_roc(target, curves, looks, f"{name}-roc-{number}")
        figures.append(Figure(chart, caption, target))
    title = "ROC curves, mean over folds" + (
        f": the {len(shown)} best {run.words.target}s" if len(shown) < len(scores.scored) else ""
    )
    return [Title(title), Figures(figures, legend(looks, scores.encoders), small=True)]


def _write_rest(run: TargetEvaluation, name: str) -> list[Block]:
    """Tabulate how often each configuration was selected, and which targets were excluded."""
    blocks: list[Block] = []
    if len(run.record.configurations) > len(run.record.encoders):
        blocks.append(_tabulate_selected(run, name))
    blocks += tabulate_members(run.record, run.words, name)
    dropped = run.record.labels.dropped
    if dropped:
        rows = [[row.target, row.reason] for row in dropped]
        columns = [Column(run.words.target, number=False), Column("why", number=False)]
        title = f"{count_of(len(rows), run.words.target)} left out"
        blocks.append(Table(f"{name}-dropped", title, columns, rows, folded=title))
    return blocks


def _tabulate_selected(run: TargetEvaluation, name: str) -> Block:
    keys = ["encoder", "pooling", "head"]
    counts: Counter[tuple[str, ...]] = Counter()
    own = set(run.targets["target"])  # a run of several kinds has the others in its table, too
    try:
        for batch in read_batches(run.folder, "scores", [*keys, "target", "selected"]):
            chosen = batch.loc[batch["selected"] & batch["target"].isin(own), keys]
            counts.update(chosen.itertuples(index=False, name=None))
    except StoreError as error:
        return Text(f"It is not known which pooling and head were selected: {error}.", "empty")
    total = Counter[str]()
    for (encoder, *_), count in counts.items():
        total[encoder] += count
    rows = [
        [*key, f"{count:,}", f"{100 * count / total[key[0]]:.1f} %"]
        for key, count in sorted(counts.items())
    ]
    columns = [*(Column(key, number=False) for key in keys), Column("selected"), Column("share")]
    title = "Which pooling and head were selected"
    note = (
        f"Counted over {run.words.target}s, repeats and folds; selected by the score of inner "
        "folds of the training part."
    )
    return Table(f"{name}-selected", title, columns, rows, folded=title, note=note)
