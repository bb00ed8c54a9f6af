"""The heads of one target of a predictor. Pure."""

from scipy.special import logit

from histo_ray.learn.heads.linear_fit import Link
from histo_ray.predict.heat.target_heads import KIND_LINKS, TargetHeads, gather_heads
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.types import TargetKind


def take_heads(predictor: FittedPredictor, target: str) -> TargetHeads:
    """Take the heads of one target, which were trained on all patients of the predictor.

    Args:
        predictor: Of patients, not of classes of tiles.
        target: One of its card's.

    Raises:
        ConfigError: A MIL head's network cannot say what a tile adds.
    """
    card, parts = predictor.card, predictor.parts
    linear = [
        (part.pooling, part.fit.take([part.targets.index(target)]))
        for part in parts.linear
        if target in part.targets
    ]
    bags = [
        head.take([part.targets.index(target)])
        for part in parts.bags
        if target in part.targets
        for head in part.members
    ]
    about = card.by_name[target]
    link = KIND_LINKS[TargetKind(card.kind)]
    share = about.positives / max(about.n_patients, 1)
    average = float(logit(share)) if link is Link.LOGISTIC else 0.0
    return gather_heads(target, card.name, link, linear, bags, average)
