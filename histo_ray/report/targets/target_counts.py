"""Numbers of targets, as publications count them and after correction. Pure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

LEVEL = 0.05
"""Significance level of P and q."""


@dataclass(frozen=True)
class CountedTargets:
    """A number of targets, and for how many of them encoder b scores higher."""

    targets: int
    b_higher: int


@dataclass(frozen=True)
class PairCount:
    """Two encoders on the targets that both were evaluated on."""

    encoder_a: str
    encoder_b: str
    by_paper: CountedTargets
    """Targets with P < 0.05 with either encoder, uncorrected and chosen on the very scores that are
    compared: the count of Li et al. 2022."""
    everything: CountedTargets
    """All targets, none chosen by its score."""
    p_plain: int
    """Targets with P < 0.05 of the plain t-test over folds."""


def count_pair(
    targets: pd.DataFrame, comparisons: pd.DataFrame, encoder_a: str, encoder_b: str
) -> PairCount:
    """Count the targets of two encoders.

    Args:
        targets: As `schemas/outcome_targets.json`.
        comparisons: As `schemas/outcome_comparisons.json`.
        encoder_a: The first encoder.
        encoder_b: The second one, whose higher scores are counted.
    """
    is_pair = (comparisons["encoder_a"] == encoder_a) & (comparisons["encoder_b"] == encoder_b)
    pair = comparisons[is_pair].dropna(subset=["difference"]).set_index("target")
    both = targets[targets["encoder"].isin([encoder_a, encoder_b])]
    least = both.groupby("target")[["p_paper"]].min().reindex(pair.index)
    higher = (pair["difference"] > 0).to_numpy()

    def won(rows: np.ndarray) -> CountedTargets:
        return CountedTargets(int(rows.sum()), int((rows & higher).sum()))

    return PairCount(
        encoder_a,
        encoder_b,
        by_paper=won((least["p_paper"] < LEVEL).to_numpy()),
        everything=won(np.ones(len(pair), bool)),
        p_plain=int((pair["p_plain"] < LEVEL).sum()),
    )


def count_found(targets: pd.DataFrame, encoder: str) -> tuple[int, int, int]:
    """Count an encoder's targets: with a score, with P < 0.05 uncorrected, with q < 0.05."""
    rows = targets[(targets["encoder"] == encoder) & targets["score"].notna()]
    return len(rows), int((rows["p_paper"] < LEVEL).sum()), int((rows["q_chance"] < LEVEL).sum())
