"""Scores by group, sites and calibration in sentences without a full stop. Pure."""

from collections.abc import Iterator, Sequence

from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.patients.review_record import GroupsRecord
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.text import count_of


def describe_review(record: PatientRecord, words: TaskWords) -> list[str]:
    """Describe scores by group, and what sites tell, as lines for a terminal."""
    several = record.labels.targets > 1
    lines = [*_write_groups(record.review.groups, words, several), *describe_sites(record, words)]
    return [f"{line}." for line in lines]


def write_groups(groups: Sequence[GroupsRecord], run: TargetEvaluation) -> Iterator[str]:
    """Write a sentence an encoder and column."""
    yield from _write_groups(groups, run.words, run.record.labels.targets > 1)


def describe_sites(record: PatientRecord, words: TaskWords) -> Iterator[str]:
    """Write how well encoders tell the site, and the site alone the best target."""
    plain = "" if record.harmonise is None else ", from its embeddings as they are, not harmonised"
    for encoder, found in record.review.sites.items():
        if found.auroc is None:
            continue
        ends = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
        accuracy = (
            ""
            if found.balanced_accuracy is None
            else f", and names it with a balanced accuracy of {found.balanced_accuracy:.2f}, where "
            f"a guess has {found.chance:.2f}"
        )
        yield (
            f"{encoder} tells the site of {count_of(found.patients, 'patient')} of "
            f"{count_of(found.sites, 'site')} at a mean AUROC of {found.auroc:.3f}{ends}{accuracy}"
            f"{plain}"
        )
    best = record.review.site_means
    if best is None or best.score is None:
        return
    ends = "" if best.low is None else f" ({best.low:.3f} to {best.high:.3f})"
    most = f", of all {words.target}s the most" if record.labels.targets > 1 else ""
    yield (
        f"By the site alone, {best.target} is predicted at {words.metric} {best.score:.3f}{ends}"
        f"{most}"
    )


def _write_groups(groups: Sequence[GroupsRecord], words: TaskWords, several: bool) -> Iterator[str]:
    for found in groups:
        noun = f"{words.target}s"
        of = f" (mean over {noun})" if several else ""
        compared = found.scored if found.compared is None else found.compared
        if found.lowest is None or found.highest is None or compared < 2:
            yield (
                f"By {found.column}, {found.scored} of {count_of(found.groups, 'group')} "
                f"{'has' if found.scored == 1 else 'have'} enough patients for a score with "
                f"{found.encoder}{_explain_left_out(found, noun)}"
            )
            continue
        low, high = (
            f"{one.score:.3f} ({one.group}, {count_of(one.n_patients, 'patient')})"
            for one in (found.lowest, found.highest)
        )
        yield (
            f"By {found.column}, {words.score}{of} with {found.encoder} lies between {low} and "
            f"{high}; {found.scored} of {count_of(found.groups, 'group')} have enough patients "
            f"for a score{_explain_left_out(found, noun)}"
        )


def _explain_left_out(found: GroupsRecord, noun: str) -> str:
    if found.compared is None:
        return ""
    left = found.scored - found.compared
    return f", of which {left} {'is' if left == 1 else 'are'} left out here: some {noun} have none"
