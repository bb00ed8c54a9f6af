"""WiSE-FT: weights on the line between those before step 2 and those after it.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (CVPR; arXiv 2109.01903): such
weights often do better on other data than either end does. Batch norms that step 2 left frozen are
the same at both ends; where it trained them, their running statistics mean nothing in between, and
`loop` measures them anew on training tiles.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from histo_ray.finetune.checkpoint import Weights
from histo_ray.finetune.held_out import ClassifierScores


class WiseChoice(NamedTuple):
    """The share of the tuned weights that was chosen, and what the others gave."""

    weights: Weights
    scores: ClassifierScores
    """On the held-out tiles; nan without any."""
    alpha: float
    accuracies: dict[float, float]
    """Held-out accuracy of each share that was tried; nan without held-out tiles."""


def interpolate(base: Weights, tuned: Weights, alpha: float) -> Weights:
    """Mix two sets of weights: (1 - alpha) base + alpha tuned.

    Args:
        base: Weights before step 2.
        tuned: Weights after it, of the same names and shapes.
        alpha: Share of the tuned weights, above 0, at most 1.

    Returns:
        New tensors, on the devices of `tuned`; counters are those of `tuned`.
    """
    return {
        name: base[name].to(value).lerp(value, alpha) if value.is_floating_point() else value
        for name, value in tuned.items()
    }


def choose_alpha(
    base: Weights,
    tuned: Weights,
    alphas: Sequence[float],
    evaluate: Callable[[Weights, float], tuple[Weights, ClassifierScores]],
) -> WiseChoice:
    """Take the share of the tuned weights with the best held-out accuracy.

    Args:
        base: Weights before step 2.
        tuned: Weights after it.
        alphas: Shares to try; of equals the largest is taken.
        evaluate: Makes weights ready (given their share) and scores them on held-out tiles.
    """
    tried: list[WiseChoice] = []
    for alpha in sorted(alphas, reverse=True):
        weights, scores = evaluate(interpolate(base, tuned, alpha), alpha)
        tried.append(WiseChoice(weights, scores, alpha, {}))
    best = max(tried, key=lambda choice: choice.scores.accuracy)
    accuracies = {choice.alpha: choice.scores.accuracy for choice in tried}
    return best._replace(accuracies=accuracies)
