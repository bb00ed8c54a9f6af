"""Targets that a predictor does not predict: caveats of its card. Pure."""

from collections.abc import Iterator, Sequence

from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.predict.card import TargetCard

LEVEL = 0.05
"""q against chance from which a target counts as not predicted."""
_CHANCE = {metric.name: metric.chance for metric in METRICS.values()}


def find_useless_targets(targets: Sequence[TargetCard]) -> Iterator[Caveat]:
    """Find the targets whose cross-validated score is not better than chance.

    A target counts where q against chance is 0.05 or more, as in the evaluation; where there is no
    q, where its interval includes chance; and always where the score itself is no better. The
    interval is two-sided and q one-sided, so it may include chance where q is below 0.05. Scores
    without a level of chance (recalls of classes) do not count.

    Args:
        targets: Of a card.
    """
    names = tuple(target.name for target in targets if _is_useless(target))
    if names:
        binary = any(target.thresholds for target in targets)
        yield caveat(CaveatCode.NO_BETTER_THAN_CHANCE, targets=names, calls=binary)


def _is_useless(target: TargetCard) -> bool:
    chance = _CHANCE.get(target.metric)
    if chance is None:
        return False
    if target.score is None or target.score <= chance:
        return True
    if target.q_chance is not None:
        return target.q_chance >= LEVEL
    return target.low is not None and target.low <= chance
