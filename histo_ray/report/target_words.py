"""An evaluation of patients in words: sentences and tables for a person. Pure."""

from collections.abc import Iterator, Sequence

from histo_ray.evaluate.evaluation_record import (
    CohortRecord,
    DroppedTarget,
    PairSummary,
    PatientRecord,
    ShownScore,
)
from histo_ray.evaluate.patient_summary import Q
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.labels.target_exclusions import TargetExclusion, says_no_gene
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.confounder_words import describe_folds, write_confounders
from histo_ray.report.format_numbers import format_maybe_p
from histo_ray.text import count_of

SHOWN = 12
"""Targets listed on a terminal; all are in the tables."""
NAMED = 5
"""Targets named of those that are left out."""


def write_sentences(record: PatientRecord) -> list[str]:
    """Write the sentences that a paper would print: one an encoder's chance, one a pair."""
    return [
        sentence
        for words, part in split_record(record)
        for sentence in (
            *_write_encoders(part, words),
            *(_write_pair(pair, words.target_in_sentence, words.score) for pair in part.pairs),
        )
    ]


def split_record(record: PatientRecord) -> list[tuple[TaskWords, PatientRecord]]:
    """Split a record into the parts that are told in their own words; see `PatientTask`."""
    task = TASKS[record.task]
    return task.split_record(record) if isinstance(task, PatientTask) else [(task.words, record)]


def _write_encoders(record: PatientRecord, words: TaskWords) -> Iterator[str]:
    word = words.target_in_sentence
    for name, found in record.summary.items():
        mean = found.mean_score
        told = "" if mean is None else f"; mean {words.score} {mean:.3f}"
        if found.n_untested == found.targets:
            yield (
                f"With {name}, no {word} could be tested against chance, as independent patients "
                f"or sites are too few{told}."
            )
            continue
        if found.n_untested:
            told += f"; {found.n_untested:,} could not be tested"
        yield (
            f"With {name}, {found.n_better_than_chance:,} of "
            f"{count_of(found.targets, word)} {'was' if found.targets == 1 else 'were'} "
            f"predicted better than chance ({record.chance_test}, q < {Q:g}){told}."
        )


def _write_pair(pair: PairSummary, word: str, score: str) -> str:
    better, worse = len(pair.b_better), len(pair.a_better)
    text = (
        f"{score[0].upper()}{score[1:]} was higher with {pair.encoder_b} than with "
        f"{pair.encoder_a} for {pair.b_higher:,} of {count_of(pair.targets, word)} (mean "
        f"difference {pair.mean_difference:+.3f})"
    )
    if pair.untested < pair.targets:
        left = pair.targets - pair.untested
        of = f" of {left:,} that could be tested" if pair.untested else ""
        text += (
            f", significantly so for {better} and significantly lower for {worse}{of} "
            f"(corrected resampled t-test, q < {Q:g})"
        )
    else:
        text += "; no difference could be tested, as independent patients or sites are too few"
    if not pair.paper_counted:
        return f"{text}."
    share = pair.paper_b_higher / pair.paper_counted
    counted = count_of(pair.paper_counted, word)
    return (
        f"{text}; counted as publications do, among the {counted} with plain P < {Q:g} for "
        f"either, {pair.encoder_b} was higher for {pair.paper_b_higher} "
        f"({share:.0%}), which corrects for nothing."
    )


def describe_patients(record: PatientRecord) -> list[str]:
    """Describe an evaluation of patients as lines for a terminal."""
    cohort, folds, words = record.cohort, record.folds, TASKS[record.task].words
    lines = [record.remark] if record.remark else []
    lines += [
        f"{record.task}: {count_of(cohort.patients_used, 'patient')} "
        f"({cohort.features_only} with slides but no label, {cohort.labels_only} with a label "
        f"but no slides), {count_of(record.labels.targets, words.target)}, "
        f"{describe_folds(record)}, {folds.kept_together}s kept together",
    ]
    lines += [
        *_describe_slides(cohort),
        *describe_dropped(record.labels.dropped, words.target),
        "",
    ]
    parts = split_record(record)
    for number, (own, part) in enumerate(parts):
        lines += [] if len(parts) == 1 else [*([""] if number else []), f"{own.title}:"]
        lines += _tabulate(part, own)
    lines += ["", *write_sentences(record), *write_confounders(record), ""]
    return lines + [f"Beware: {text}." for text in write_caveats(record)]


def _describe_slides(cohort: CohortRecord) -> list[str]:
    """Slides that were lost before anything was predicted, if any were."""
    failed, empty = cohort.slides_failed, cohort.slides_without_tiles
    if failed is None or not failed + empty:  # None: a run of before they were counted
        return []
    told = f"slides: {cohort.slides + failed} in, {failed} failed in extraction, {empty} "
    gone = cohort.patients_lost
    with_them = f", and with them {count_of(gone, 'patient')}" if gone else ""
    return [f"{told}without tiles{with_them} (cohort.parquet and the report say which)"]


def describe_dropped(dropped: Sequence[DroppedTarget], noun: str = "gene") -> list[str]:
    """Describe the targets that are not evaluated: no genes, genes, those that no table has."""
    absent = [drop.target for drop in dropped if drop.reason == TargetExclusion.ABSENT]
    names: list[str] = []
    others: list[str] = []
    for drop in dropped:
        if drop.reason != TargetExclusion.ABSENT:
            kind = names if says_no_gene(drop.reason) else others
            kind.append(f"{drop.target} ({drop.reason})")
    lines = []
    if names:
        told = count_of(len(names), "name that is no gene", "names that are no genes")
        lines.append(f"{told} left out: {_name_few(names, '; ')}")
    if others:
        lines.append(f"{count_of(len(others), noun)} left out: {_name_few(others, '; ')}")
    if absent:
        told = f"{count_of(len(absent), 'gene')} of --genes not in the label table"
        lines.append(f"{told}: {_name_few(absent, ', ')}")
    return lines


def _name_few(names: Sequence[str], between: str) -> str:
    more = len(names) - NAMED
    rest = f"{between}and {more:,} more, all in run.json" if more > 0 else ""
    return f"{between.join(names[:NAMED])}{rest}"


def _tabulate(record: PatientRecord, words: TaskWords) -> list[str]:
    """Scores of the best targets, encoders side by side, and what the columns mean."""
    shown = record.shown[:SHOWN]
    if not shown:
        return []
    columns = [(words.target, [row.target for row in shown])]
    for name in record.summary:
        found = [row.by_encoder[name] for row in shown]
        columns += [
            (name, [_score_cell(one) for one in found]),
            ("q chance", [format_maybe_p(one.q_chance) for one in found]),
        ]
    pairs = record.pairs
    for at, pair in enumerate(pairs):
        versus = "" if len(pairs) == 1 else f" {pair.encoder_b} - {pair.encoder_a}"
        cells = [row.q_corrected[at : at + 1] or (None,) for row in shown]
        columns.append((f"q difference{versus}", [format_maybe_p(q) for (q,) in cells]))
    lines = _lay_out(columns)
    left = record.labels.targets - len(shown)
    noun = TASKS[record.task].words.target
    lines += [f"... and {left:,} more in targets.parquet"] if left > 0 else []
    lines += [
        f"{words.metric}: mean of the folds, with 95 % interval; q: after Benjamini-Hochberg over "
        f"{noun}s",
        f"q chance: better than chance ({record.chance_test})",
    ]
    return lines + (["q difference: corrected resampled t-test over folds"] if pairs else [])


def _score_cell(found: ShownScore) -> str:
    if found.score is None:
        return "none"
    low, high = ("-" if end is None else f"{end:.2f}" for end in (found.low, found.high))
    return f"{found.score:.3f} [{low}, {high}]"


def _lay_out(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Columns under their heads, the first set to the left."""
    wide = [max(len(head), *map(len, cells)) for head, cells in columns]
    table = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    return [
        "  ".join(
            [row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))]
        )
        for row in table
    ]
