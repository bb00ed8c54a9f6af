"""Table of targets: a row each, with every encoder and comparison. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.report.page_blocks import Column, Table
from histo_ray.report.target_counts import LEVEL

METRIC_WORDS = {"pearson": "Pearson's r", "auroc": "AUROC"}
_HEADS = {"pearson": "r", "auroc": "AUROC"}
_OTHERS = {
    "expression": (
        ("Spearman", "spearman", "Rank correlation"),
        ("R2", "r2", "1 - SSE / SST over all predictions of a repeat, mean over repeats; below 0: "
         "worse than the mean"),
    ),
    "mutation": (("AUPRC", "auprc", "Average precision over all predictions of a repeat"),),
}  # fmt: skip
"""Head, column and meaning of what stands beside the score that decides."""
CHANCE = {"pearson": 0.0, "auroc": 0.5}


@dataclass(frozen=True)
class RankedTargets:
    """All targets of a run, best first."""

    targets: list[str]
    encoders: list[str]
    pairs: list[tuple[str, str]]
    """Encoders (a, b) of the comparisons."""
    by_encoder: dict[str, pd.DataFrame]
    """Rows of `schemas/outcome_targets.json` by encoder, one for each target; nan where missing."""
    by_pair: dict[tuple[str, str], pd.DataFrame]
    """Rows of `schemas/outcome_comparisons.json` by pair, likewise."""

    @property
    def metric(self) -> str:
        """The metric that ranks targets."""
        metrics = [frame["metric"].dropna() for frame in self.by_encoder.values()]
        return str(pd.concat(metrics).iloc[0])

    @property
    def scored(self) -> list[str]:
        """Targets with a score of any encoder, best first."""
        if not self.by_encoder:
            return []
        known = np.any([frame["score"].notna() for frame in self.by_encoder.values()], axis=0)
        return [target for target, there in zip(self.targets, known, strict=True) if there]

    @property
    def first_pairs(self) -> list[tuple[str, str]]:
        """Pairs of the first encoder with each other one; these are drawn."""
        return [pair for pair in self.pairs if pair[0] == self.pairs[0][0]]


def rank_targets(
    targets: pd.DataFrame, comparisons: pd.DataFrame, encoders: Sequence[str]
) -> RankedTargets:
    """Order targets by their best score with any encoder.

    Args:
        targets: As `schemas/outcome_targets.json`.
        comparisons: As `schemas/outcome_comparisons.json`.
        encoders: In the order of the run.
    """
    known = list(dict.fromkeys(targets["encoder"]))
    ordered = [name for name in encoders if name in known]
    ordered += [name for name in known if name not in ordered]
    best = targets.groupby("target")["score"].max().sort_index()
    order = best.sort_values(ascending=False, kind="stable", na_position="last").index
    pairs = list(
        dict.fromkeys(zip(comparisons["encoder_a"], comparisons["encoder_b"], strict=True))
    )

    def align(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.drop_duplicates("target").set_index("target").reindex(order)

    return RankedTargets(
        [str(name) for name in order],
        ordered,
        pairs,
        {name: align(targets[targets["encoder"] == name]) for name in ordered},
        {
            (a, b): align(
                comparisons[(comparisons["encoder_a"] == a) & (comparisons["encoder_b"] == b)]
            )
            for a, b in pairs
        },
    )


def tabulate_targets(scores: RankedTargets, task: str, name: str) -> Table:
    """Make the table of all targets."""
    metric, mutation = METRIC_WORDS[scores.metric], task == "mutation"
    columns, cells = [Column("gene", number=False)], [scores.targets]
    first = list(scores.by_encoder.values())
    others = _OTHERS[task]
    if mutation:
        for column, about in (("n_patients", "With a label"), ("positives", "With a mutation")):
            columns.append(Column(column.removeprefix("n_"), about=about))
            counts = pd.concat([frame[column] for frame in first], axis=1).max(axis=1)
            cells.append(["–" if np.isnan(count) else f"{count:.0f}" for count in counts])
    for encoder, frame in scores.by_encoder.items():
        columns += [
            Column(
                _HEADS[scores.metric],
                encoder,
                f"{metric} out of fold, mean of the folds and repeats",
            ),
            Column("95 % interval", encoder, "Bootstrap over patients", sort=False),
            *(Column(head, encoder, about) for head, _, about in others),
            Column("q", encoder, "Better than chance, after Benjamini-Hochberg over genes"),
        ]
        cells += [[format_score(score) for score in frame["score"]], _intervals(frame)]
        cells += [[format_score(score) for score in frame[column]] for _, column, _ in others]
        cells.append([format_maybe_p(q) for q in frame["q_chance"]])
    for (a, b), frame in scores.by_pair.items():
        group = f"{b} - {a}"
        columns += [
            Column("difference", group),
            Column("95 % interval", group, "Bootstrap over the same patients", sort=False),
            *([Column("P, DeLong", group, "DeLong 1988, on mean predictions")] if mutation else []),
            Column("q", group, "Corrected resampled t-test, after Benjamini-Hochberg over genes"),
        ]
        cells += [[format_score(d, signed=True) for d in frame["difference"]]]
        cells += [_intervals(frame, signed=True)]
        cells += [[format_maybe_p(p) for p in frame["p_delong"]]] if mutation else []
        cells.append([format_maybe_p(q) for q in frame["q_corrected"]])
    sure = np.any([frame["q_chance"] < LEVEL for frame in first], axis=0)
    return Table(
        name,
        "Genes, best first",
        columns,
        list(zip(*cells, strict=True)),
        frozenset(np.flatnonzero(sure).tolist()),
        "better than chance (q < 0.05 with any encoder)",
        "genes",
    )


def _intervals(frame: pd.DataFrame, signed: bool = False) -> list[str]:
    ends = zip(frame["low"], frame["high"], strict=True)
    return [format_interval(low, high, signed) for low, high in ends]
