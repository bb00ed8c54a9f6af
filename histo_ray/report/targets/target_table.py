"""Table of targets: a row each, with every encoder and comparison. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from histo_ray.evaluate.tasks.base import TaskWords
from histo_ray.report.format_numbers import format_interval, format_maybe_p, format_score
from histo_ray.report.page_blocks import Column, Table
from histo_ray.report.targets.target_counts import LEVEL

LISTED = 2000
"""Rows of the table at most; 20,000 would be 5 MB that browsers sort and search slowly."""


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

    def take_best(self, count: int) -> "RankedTargets":
        """Take the first targets."""
        return replace(
            self,
            targets=self.targets[:count],
            by_encoder={name: frame[:count] for name, frame in self.by_encoder.items()},
            by_pair={pair: frame[:count] for pair, frame in self.by_pair.items()},
        )

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


def tabulate_targets(everything: RankedTargets, words: TaskWords, table_name: str) -> Table:
    """Make the table of all targets, or of the best `LISTED`, as a page must open in a browser."""
    scores = everything.take_best(LISTED)
    columns, cells = [Column(words.target, number=False)], [scores.targets]
    corrected = f"after Benjamini-Hochberg over {words.target}s"
    first = list(scores.by_encoder.values())
    for count in words.count_columns:
        columns.append(Column(count.head, about=count.about))
        largest = pd.concat([frame[count.column] for frame in first], axis=1).max(axis=1)
        cells.append(["–" if np.isnan(number) else f"{number:.0f}" for number in largest])
    for encoder, frame in scores.by_encoder.items():
        columns += [
            Column(
                words.metric_head,
                encoder,
                f"{words.metric} out of fold, mean of the folds and repeats",
            ),
            Column("95 % interval", encoder, "Two-sided, of the score on new patients", sort=False),
            *(Column(other.head, encoder, other.about) for other in words.other_scores),
            Column("q", encoder, f"Better than chance, one-sided, {corrected}"),
        ]
        cells += [[format_score(score) for score in frame["score"]], _intervals(frame)]
        cells += [[format_score(s) for s in frame[other.column]] for other in words.other_scores]
        cells.append([format_maybe_p(q) for q in frame["q_chance"]])
    for (a, b), frame in scores.by_pair.items():
        group = f"{b} - {a}"
        columns += [
            Column("difference", group),
            Column("95 % interval", group, "Of the test that gives P", sort=False),
            Column("P", group, "Corrected resampled t-test"),
            Column(
                "q",
                group,
                f"After Benjamini-Hochberg over the {words.target}s that both encoders together "
                "predict better than chance; – of all others",
            ),
        ]
        cells += [[format_score(d, signed=True) for d in frame["difference"]]]
        cells += [_intervals(frame, signed=True)]
        cells += [[format_maybe_p(p) for p in frame[name]] for name in ("p_corrected", "q_found")]
    sure = np.any([frame["q_chance"] < LEVEL for frame in first], axis=0)
    return Table(
        table_name,
        f"{words.target.capitalize()}s, best first",
        columns,
        list(zip(*cells, strict=True)),
        frozenset(np.flatnonzero(sure).tolist()),
        "better than chance (q < 0.05 with any encoder)",
        f"{words.target}s",
        note=_tell_rest(everything, words),
    )


def _tell_rest(scores: RankedTargets, words: TaskWords) -> str:
    """Tell which targets the table lacks, and how to look at them; empty where it has all."""
    left = len(scores.targets) - LISTED
    if left <= 0:
        return ""
    frames = [frame["q_chance"][LISTED:] < LEVEL for frame in scores.by_encoder.values()]
    sure = int(np.any(frames, axis=0).sum())
    encoder = scores.encoders[0].replace("'", "''")
    return (
        f"The {LISTED:,} best of {len(scores.targets):,} {words.target}s; of the {left:,} others, "
        f"which charts and counts include, {sure:,} are better than chance (q < {LEVEL}). All are "
        "in targets.parquet and comparisons.parquet beside run.json, and are asked for by "
        f"histo-ray store sql STORE \"from targets where encoder = '{encoder}' order by score desc "
        f'offset {LISTED}".'
    )


def _intervals(frame: pd.DataFrame, signed: bool = False) -> list[str]:
    ends = zip(frame["low"], frame["high"], strict=True)
    return [format_interval(low, high, signed) for low, high in ends]
