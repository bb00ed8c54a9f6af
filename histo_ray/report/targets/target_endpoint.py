"""The primary endpoint on the page: the mean difference of two encoders over all targets. Pure."""

from collections.abc import Sequence

from histo_ray.evaluate.evaluation_record import EndpointRecord, PairSummary, PatientRecord
from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.report.page_blocks import Column, Table

OF_TESTS = 3
"""Version of statistics from which on intervals are those of the tests."""


def explain_interval(record: PatientRecord) -> str:
    """Say of what the intervals of scores are, as a phrase after "95 % intervals"."""
    if record.statistics_version < OF_TESTS:
        return (
            "of a bootstrap over patients with the same trained heads, which are too narrow (the "
            "run is of before 0.5; evaluate again for better ones)"
        )
    return "of the score on new patients, with heads trained on as many"


def tabulate_endpoints(pairs: Sequence[PairSummary], words: TaskWords, name: str) -> Table:
    """Make a table with a row for each pair of encoders."""
    several = len(pairs) > 1
    metric = f"mean {words.metric}"
    columns = [
        Column("b against a", number=False),
        Column(f"{words.target}s", about="Those whose difference can be tested"),
        Column("a", metric),
        Column("b", metric),
        Column("difference", "b - a"),
        Column("95 % interval", "b - a", "Of the test that gives P", sort=False),
        Column("P", "b - a", "Corrected resampled t-test of the mean difference"),
    ]
    if several:
        columns.append(Column("P, Holm", "b - a", "Corrected for the number of pairs"))
    rows = [_list_cells(pair, pair.endpoint, several) for pair in pairs if pair.endpoint]
    return Table(
        name,
        f"Primary endpoint: mean difference over all {words.target}s",
        columns,
        rows,
        note="One test a pair of encoders, whatever the number of "
        f"{words.target}s. Single {words.target}s are compared below.",
    )


def _list_cells(pair: PairSummary, mean: EndpointRecord, several: bool) -> list[str]:
    a, b, difference, low, high = (
        float("nan") if value is None else value
        for value in (mean.score_a, mean.score_b, mean.difference, mean.low, mean.high)
    )
    cells = [
        f"{pair.encoder_b} against {pair.encoder_a}",
        f"{mean.targets:,}",
        format_score(a),
        format_score(b),
        format_score(difference, signed=True),
        format_interval(low, high, signed=True),
        format_maybe_p(mean.p),
    ]
    return [*cells, format_maybe_p(mean.p_holm)] if several else cells
