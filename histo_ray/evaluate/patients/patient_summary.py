"""What a record repeats of the tables of targets and comparisons. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from histo_ray.evaluate.evaluation_record import (
    EncoderSummary,
    EndpointRecord,
    PairSummary,
    ShownScore,
    ShownTarget,
)
from histo_ray.learn.statistics import count_as_paper

Q = 0.05
"""Level of significance, after Benjamini-Hochberg."""

Row: TypeAlias = Mapping[str, Any]
"""A row of `schemas/outcome_targets.json` or `schemas/outcome_comparisons.json`."""


def summarise_encoders(targets: Sequence[Row]) -> dict[str, EncoderSummary]:
    """Summarise every encoder.

    Args:
        targets: Rows of `outcome_targets`.
    """
    by_encoder: dict[str, list[Row]] = {}
    for row in targets:
        by_encoder.setdefault(row["encoder"], []).append(row)
    return {name: summarise_encoder(rows) for name, rows in by_encoder.items()}


def summarise_encoder(rows: Sequence[Row]) -> EncoderSummary:
    """Summarise one encoder, from its rows of `outcome_targets`."""
    scores = sorted(row["score"] for row in rows if row["score"] == row["score"])
    return EncoderSummary(
        targets=len(rows),
        mean_score=sum(scores) / len(scores) if scores else None,
        median_score=scores[len(scores) // 2] if scores else None,
        n_untested=sum(_is_untested(row["score"], row["q_chance"]) for row in rows),
        n_better_than_chance=sum(row["q_chance"] < Q for row in rows),
        n_paper=sum(row["p_paper"] < Q for row in rows),
    )


def summarise_pairs(
    comparisons: Sequence[Row], targets: Sequence[Row], endpoints: Sequence[Row] = ()
) -> list[PairSummary]:
    """Summarise every pair of encoders.

    Args:
        comparisons: Rows of `outcome_comparisons`.
        targets: Rows of `outcome_targets`.
        endpoints: Rows of `outcome_endpoints`.
    """
    means = {(row["encoder_a"], row["encoder_b"]): row for row in endpoints}
    by_pair: dict[tuple[str, str], list[Row]] = {}
    for row in comparisons:
        by_pair.setdefault((row["encoder_a"], row["encoder_b"]), []).append(row)
    found = {(row["encoder"], row["target"]): row for row in targets}

    def column(rows: Sequence[Row], name: str, side: str) -> Any:
        return np.array([found[row[side], row["target"]][name] for row in rows])

    pairs = []
    for names, rows in by_pair.items():
        p, score = (
            [column(rows, name, side) for side in ("encoder_a", "encoder_b")]
            for name in ("p_paper", "score")
        )
        paper = count_as_paper(p[0], p[1], score[0], score[1])
        pairs.append(summarise_pair(rows, paper.found, paper.b_higher, means.get(names)))
    return pairs


def summarise_pair(
    rows: Sequence[Row], paper_counted: int, paper_b_higher: int, endpoint: Row | None = None
) -> PairSummary:
    """Summarise one pair of encoders.

    Args:
        rows: Its rows of `outcome_comparisons`.
        paper_counted: Targets that a publication would count, P < 0.05 with either encoder.
        paper_b_higher: Of those, the ones with the higher score of b.
        endpoint: Its row of `outcome_endpoints`; None: there is none.
    """
    deciding = "q_corrected" if endpoint is None else "q_found"
    known = [row["difference"] for row in rows if row["difference"] == row["difference"]]
    return PairSummary(
        encoder_a=rows[0]["encoder_a"],
        encoder_b=rows[0]["encoder_b"],
        metric=rows[0]["metric"],
        targets=len(rows),
        untested=sum(_is_untested(row["difference"], row["q_corrected"]) for row in rows),
        b_higher=sum(row["difference"] > 0 for row in rows),
        b_better=tuple(r["target"] for r in rows if r[deciding] < Q and r["difference"] > 0),
        a_better=tuple(r["target"] for r in rows if r[deciding] < Q and r["difference"] < 0),
        mean_difference=sum(known) / len(known) if known else 0.0,
        endpoint=None if endpoint is None else EndpointRecord.model_validate(endpoint),
        both_found=sum(row.get("q_both", math.nan) < Q for row in rows),
        paper_counted=paper_counted,
        paper_b_higher=paper_b_higher,
    )


def list_best(targets: Sequence[Row], comparisons: Sequence[Row], most: int) -> list[ShownTarget]:
    """List the targets that the last encoder predicts best, encoders side by side.

    Args:
        targets: Rows of `outcome_targets`.
        comparisons: Rows of `outcome_comparisons`.
        most: How many.
    """
    metrics: dict[str, str] = {}
    scores: dict[str, dict[str, ShownScore]] = {}
    pairs: dict[str, list[Row]] = {}
    for row in targets:
        target = row["target"]
        metrics.setdefault(target, row["metric"])
        scores.setdefault(target, {})[row["encoder"]] = ShownScore(
            score=row["score"], low=row["low"], high=row["high"], q_chance=row["q_chance"]
        )
    for row in comparisons:
        pairs.setdefault(row["target"], []).append(row)
    shown = [
        ShownTarget(
            target=target,
            metric=metrics[target],
            by_encoder=by_encoder,
            q_corrected=tuple(row["q_corrected"] for row in pairs.get(target, ())),
            q_found=tuple(row.get("q_found") for row in pairs.get(target, ())),
            differences=tuple(row["difference"] for row in pairs.get(target, ())),
        )
        for target, by_encoder in scores.items()
    ]

    def score(entry: ShownTarget) -> float:
        last = list(entry.by_encoder.values())[-1].score
        return float("-inf") if last is None else last

    return sorted(shown, key=score, reverse=True)[:most]


def _is_untested(score: float, q: float) -> bool:
    """Whether there is a score but no test of it, as where independent units are too few."""
    return score == score and q != q
