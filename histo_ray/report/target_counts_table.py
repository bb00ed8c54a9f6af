"""Table of the numbers of targets: as publications count, and corrected. Pure."""

from collections.abc import Sequence

from histo_ray.report.page_blocks import Column, Table, Text
from histo_ray.report.target_counts import CountedTargets, PairCount


def explain_counts(counts: Sequence[PairCount], target: str) -> Text:
    """Explain why there are several counts."""
    whom = "b"
    if len(counts) == 1:
        whom = f"{counts[0].encoder_b} (b) than with {counts[0].encoder_a} (a)"
    return Text(
        f"How many {target}s are better with {whom}? Publications take {target}s with P < 0.05, "
        "uncorrected, and count on the same scores that chose them: of many "
        f"{target}s some pass by chance, and choosing favours whichever encoder is noisier. Beside "
        f"it, the count after correction for the number of {target}s, the count over all "
        f"{target}s, and the {target}s whose difference itself is sure."
    )


def tabulate_counts(counts: Sequence[PairCount], name: str, target: str) -> Table:
    """Make a table with a row for each pair of encoders."""
    rows = [_count_row(count) for count in counts]
    return Table(name, f"Counting {target}s", _columns(target), rows)


def _count_row(count: PairCount) -> list[str]:
    cells = [f"{count.encoder_b} against {count.encoder_a}"]
    for won in (count.by_paper, count.by_q, count.everything):
        cells += [f"{won.targets:,}", _share(won)]
    return [*cells, f"{count.b_better:,}", f"{count.a_better:,}", f"{count.p_plain:,}"]


def _share(won: CountedTargets) -> str:
    percent = f" ({100 * won.b_higher / won.targets:.0f} %)" if won.targets else ""
    return f"{won.b_higher:,}{percent}"


def _columns(target: str) -> tuple[Column, ...]:
    return (
        Column("b against a", number=False),
        Column(
            f"{target}s", "as publications count", "With P < 0.05 with either encoder, uncorrected"
        ),
        Column("b higher", "as publications count", "Of these; whatever the size of the gap"),
        Column(f"{target}s", "chosen by q", "Better than chance with q < 0.05 with either encoder"),
        Column("b higher", "chosen by q", "Of these"),
        Column(f"{target}s", "nothing chosen", "All"),
        Column("b higher", "nothing chosen", "Of all"),
        Column("b better", "difference has q < 0.05", "Paired, corrected resampled t-test"),
        Column("a better", "difference has q < 0.05", "The same"),
        Column("P < 0.05", "plain t-test", "Takes folds for independent: far too sure"),
    )
