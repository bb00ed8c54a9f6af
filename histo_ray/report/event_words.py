"""What an evaluation tells while it runs, as lines for a person. Pure."""

from collections.abc import Iterator

from histo_ray.evaluate.events import (
    CheckingVectors,
    CohortJoined,
    CostEstimated,
    Event,
    FoundState,
    PredictorFound,
    RunFound,
    RunHere,
    Scoring,
    TrainingOnAll,
    WaitingForRun,
)
from histo_ray.text import count_of

_FOUND = {
    FoundState.DONE: "is done already; nothing was computed",
    FoundState.FINISHED_BY_ANOTHER: "was finished by another process meanwhile",
}


def describe_event(event: Event) -> Iterator[str]:
    """Render an event as lines."""
    match event:
        case CheckingVectors(partitions):
            yield (
                f"reading {count_of(partitions, 'partition')} to hold them against their digests"
            )
        case CohortJoined():
            yield from _describe_cohort(event)
        case CostEstimated():
            yield _describe_cost(event)
        case RunHere(seconds, start_seconds):
            yield (
                f"done in this process: what is left takes about {seconds:.1f} s, and starting Ray "
                f"alone some {start_seconds:.0f} s (--address local starts it all the same)"
            )
        case Scoring():
            yield "scores and statistics"
        case RunFound(run_id, state):
            yield f"run {run_id} {_FOUND[state]}"
        case WaitingForRun(run_id, holder):
            yield f"run {run_id} is being made by {holder}; waiting for it"
        case TrainingOnAll(rows, rows_are, configurations):
            yield (
                f"training {count_of(configurations, 'configuration')} on all "
                f"{count_of(rows, rows_are)}"
            )
        case PredictorFound(name):
            yield f"predictor {name} was published before by the same fit; nothing to do"


def _describe_cohort(cohort: CohortJoined) -> Iterator[str]:
    yield (
        f"{count_of(cohort.patients, 'patient')} {'is' if cohort.patients == 1 else 'are'} "
        f"evaluated: {cohort.with_features} have slides, {cohort.with_labels} a label, "
        f"{cohort.features_only} slides but no label, {cohort.labels_only} a label but no slides"
    )
    for encoder, count in cohort.lost.items():
        yield f"{count_of(count, 'labelled patient')} without slides of {encoder}"
    yield f"{count_of(cohort.targets, cohort.noun)}, {cohort.dropped} left out"
    yield from cohort.notes


def _describe_cost(cost: CostEstimated) -> str:
    text = (
        f"{cost.fits} fits of {cost.head} on {cost.rows} x {cost.dim} ({cost.encoder}): about "
        f"{cost.minutes:.1f} CPU minutes; one of {cost.tried_rows} tiles took "
        f"{cost.tried_seconds:.2f} s here"
    )
    if cost.cheaper_instead:
        return f"{text}; logistic regression would cost many times that (--solver exact)"
    if cost.cheaper_possible:
        return f"{text}; --solver fast takes least squares in its place"
    return text
