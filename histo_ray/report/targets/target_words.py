"""An evaluation of patients in words: sentences and tables for a person. Pure."""

from collections.abc import Iterator, Sequence

from histo_ray.evaluate.evaluation_record import (
    CohortRecord,
    DroppedTarget,
    EndpointRecord,
    PairSummary,
    PatientRecord,
    ShownScore,
    ShownTarget,
)
from histo_ray.evaluate.patients.patient_summary import Q
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.labels.target_exclusions import TargetExclusion, says_no_gene
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.format_numbers import format_interval, format_maybe_p
from histo_ray.report.targets.confounder_words import describe_folds, write_confounders
from histo_ray.report.targets.subgroup_words import describe_review
from histo_ray.text import count_of

SHOWN = 12
"""Targets listed on a terminal; all are in the tables."""
NAMED = 5
"""Targets named of those that are left out."""


def write_sentences(record: PatientRecord) -> list[str]:
    """Write the sentences that a paper would print.

    The primary endpoint of each pair of encoders, then their single targets, then one sentence an
    encoder on chance; for each part of a record that is told in its own words. A run of before
    0.5 says what it said then: chance first, then pairs.
    """
    sentences: list[str] = []
    for words, part in split_record(record):
        chance = list(_write_encoders(part, words))
        if any(pair.endpoint is None for pair in part.pairs):
            sentences += [*chance, *(_write_old_pair(pair, words) for pair in part.pairs)]
            continue
        for pair in part.pairs:
            sentences += _write_pair(part, pair, words)
        sentences += chance
    return sentences


def choose_words(record: PatientRecord) -> TaskWords:
    """Choose the words of all scores of a record; see `PatientTask`."""
    task = TASKS[record.task]
    return task.choose_words(record) if isinstance(task, PatientTask) else task.words


def split_record(record: PatientRecord) -> list[tuple[TaskWords, PatientRecord]]:
    """Split a record into the parts that are told in their own words; see `PatientTask`."""
    task = TASKS[record.task]
    return task.split_record(record) if isinstance(task, PatientTask) else [(task.words, record)]


def _write_encoders(record: PatientRecord, words: TaskWords) -> Iterator[str]:
    word = words.target_in_sentence
    old = any(pair.endpoint is None for pair in record.pairs)  # of before 0.5
    test = record.chance_test if old else one_sided(record.chance_test)
    alone = record.shown[0] if words.names_single and len(record.shown) == 1 else None
    for name, found in record.summary.items():
        if alone is not None and not found.n_untested and found.targets == 1:
            yield _write_alone(name, alone, words, record.chance_test)
            continue
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
            f"predicted better than chance ({test}, q < {Q:g}){told}."
        )


def one_sided(test: str | None) -> str:
    """Say of a test against chance that its P is one-sided, as intervals beside it are not."""
    return f"one-sided {test}" if test else "one-sided"


def _write_alone(encoder: str, target: ShownTarget, words: TaskWords, test: str) -> str:
    """Write whether the one target of a run is predicted better than chance."""
    found = target.by_encoder[encoder]
    sure = found.q_chance is not None and found.q_chance < Q
    ends = format_interval(_number(found.low), _number(found.high))
    return (
        f"With {encoder}, {target.target} was {'' if sure else 'not '}predicted better than "
        f"chance ({one_sided(test)}, q = {format_maybe_p(found.q_chance)}); {words.score} "
        f"{_number(found.score):.3f} (two-sided 95 % interval on new patients {ends}).".replace(
            "q = <", "q <"
        )
    )


def _write_pair(record: PatientRecord, pair: PairSummary, words: TaskWords) -> Iterator[str]:
    if pair.endpoint is None:
        return
    named = words.names_single and pair.targets == 1 and bool(record.shown)
    of = f" of {record.shown[0].target}" if named else ""
    yield write_endpoint(pair, pair.endpoint, words, several=len(record.pairs) > 1, named=of)
    if pair.targets > 1 and pair.endpoint.targets:
        yield _write_single_targets(pair, words)


def write_endpoint(
    pair: PairSummary,
    mean: EndpointRecord,
    words: TaskWords,
    several: bool,
    named: str = "",
) -> str:
    """Write the primary endpoint: the mean difference with its interval and P."""
    targets = count_of(mean.targets or pair.targets, words.target_in_sentence)
    of = f"Mean {words.score} over {targets}" if pair.targets > 1 else _capital(words.score)
    of += named
    if mean.difference is None or mean.p is None:
        return (
            f"{of}: {pair.encoder_b} less {pair.encoder_a} {pair.mean_difference:+.3f}, which "
            "could not be tested, as independent patients or sites are too few."
        )
    ends = format_interval(_number(mean.low), _number(mean.high), signed=True)
    holm = f", {format_maybe_p(mean.p_holm)} after Holm over all pairs" if several else ""
    return (
        f"{of} was {_number(mean.score_b):.3f} with {pair.encoder_b} and "
        f"{_number(mean.score_a):.3f} with {pair.encoder_a}: difference "
        f"{mean.difference:+.3f} (95 % interval {ends}; corrected resampled t-test, "
        f"P = {format_maybe_p(mean.p)}{holm}).".replace("P = <", "P <")
    )


def _write_single_targets(pair: PairSummary, words: TaskWords) -> str:
    noun = words.target_in_sentence
    if not pair.both_found:
        return (
            f"No {noun} was predicted better than chance by {pair.encoder_a} and "
            f"{pair.encoder_b} together, so none is compared by itself."
        )
    found = (
        f"Of {count_of(pair.both_found, noun)} that both together predict better than chance "
        f"(q < {Q:g}), "
    )
    if not pair.a_better and not pair.b_better:
        names = f"{pair.encoder_b} or with {pair.encoder_a}"
        return f"{found}none was better with {names} (q < {Q:g} among these)."
    return (
        f"{found}{_name_targets(pair.b_better)} better with {pair.encoder_b} and "
        f"{_name_targets(pair.a_better)} with {pair.encoder_a} (q < {Q:g} among these)."
    )


def _name_targets(targets: Sequence[str]) -> str:
    if not targets:
        return "none was"
    named = f" ({_name_few(targets, ', ')})" if len(targets) <= NAMED else ""
    return f"{len(targets):,}{named} {'was' if len(targets) == 1 else 'were'}"


def _write_old_pair(pair: PairSummary, words: TaskWords) -> str:
    """Write what a run of before 0.5 said of a pair."""
    word = words.target_in_sentence
    text = (
        f"{_capital(words.score)} was higher with {pair.encoder_b} than with {pair.encoder_a} for "
        f"{pair.b_higher:,} of {count_of(pair.targets, word)} (mean difference "
        f"{pair.mean_difference:+.3f})"
    )
    if pair.untested < pair.targets:
        left = pair.targets - pair.untested
        of = f" of {left:,} that could be tested" if pair.untested else ""
        text += (
            f", significantly so for {len(pair.b_better)} and significantly lower for "
            f"{len(pair.a_better)}{of} (corrected resampled t-test, q < {Q:g})"
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


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


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
    lines += describe_review(record, choose_words(record))
    return lines + [f"Beware: {text}." for text in write_caveats(record)]


def _describe_slides(cohort: CohortRecord) -> list[str]:
    """Slides that were lost before anything was predicted, if any were."""
    failed, empty = cohort.slides_failed, cohort.slides_without_tiles
    filtered = cohort.slides_filtered
    if failed is None or not failed + empty + filtered:  # None: a run of before they were counted
        return []
    told = f"slides: {cohort.slides + failed} in, {failed} failed in extraction, {empty} "
    gone = cohort.patients_lost
    with_them = f", and with them {count_of(gone, 'patient')}" if gone else ""
    told += (
        f"without tiles, {filtered} without a tile that is kept" if filtered else "without tiles"
    )
    return [f"{told}{with_them} (cohort.parquet and the report say which)"]


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
        old = pair.endpoint is None
        cells = [(r.q_corrected if old else r.q_found)[at : at + 1] or (None,) for r in shown]
        columns.append((f"q difference{versus}", [format_maybe_p(q) for (q,) in cells]))
    lines = _lay_out(columns)
    left = record.labels.targets - len(shown)
    lines += [f"... and {left:,} more in targets.parquet"] if left > 0 else []
    lines += [
        f"{words.metric}: mean of the folds, with 95 % interval; q: after Benjamini-Hochberg over "
        f"{words.target}s",
        f"q chance: better than chance ({one_sided(record.chance_test)}); the interval is "
        "two-sided, of the score on new patients, so it may include a guess where q is below 0.05",
    ]
    if not pairs:
        return lines
    among = "" if pairs[0].endpoint is None else f", among {words.target}s that both predict"
    return [*lines, f"q difference: corrected resampled t-test over folds{among}"]


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
