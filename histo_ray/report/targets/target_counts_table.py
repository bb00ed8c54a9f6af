"""Table of the numbers of targets as publications count them, folded away. Pure."""

from collections.abc import Sequence

from histo_ray.report.page_blocks import Column, Table
from histo_ray.report.targets.target_counts import CountedTargets, PairCount


def tabulate_counts(counts: Sequence[PairCount], name: str, target: str) -> Table:
    """Make a table with a row for each pair of encoders."""
    return Table(
        name,
        f"Counting {target}s as publications do",
        _columns(target),
        [_count_row(count) for count in counts],
        folded="As publications count",
        note=f"Publications take {target}s with P < 0.05, uncorrected, and count on the same "
        f"scores that chose them which encoder is higher: of many {target}s some pass by chance, "
        "and higher by however little counts as better. A plain t-test over folds takes them for "
        "independent. Neither is evidence; both stand here for comparison.",
    )


def _count_row(count: PairCount) -> list[str]:
    cells = [f"{count.encoder_b} against {count.encoder_a}"]
    for won in (count.by_paper, count.everything):
        cells += [f"{won.targets:,}", _share(won)]
    return [*cells, f"{count.p_plain:,}"]


def _share(won: CountedTargets) -> str:
    percent = f" ({100 * won.b_higher / won.targets:.0f} %)" if won.targets else ""
    return f"{won.b_higher:,}{percent}"


def _columns(target: str) -> tuple[Column, ...]:
    return (
        Column("b against a", number=False),
        Column(f"{target}s", "P < 0.05 with either", "Uncorrected, of the mean prediction"),
        Column("b higher", "P < 0.05 with either", "Of these; whatever the size of the gap"),
        Column(f"{target}s", "nothing chosen", "All"),
        Column("b higher", "nothing chosen", "Of all"),
        Column("P < 0.05", "plain t-test", "Takes folds for independent: far too sure"),
    )
