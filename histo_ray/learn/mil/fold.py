"""One fold of cross-validation by attention. What is judged has no part in what is learnt."""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.fold_data import FoldAnswer
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.settings import MilSettings
from histo_ray.learn.mil.training import Report, keep_going, train_mil

Floats = npt.NDArray[np.float64]


def judge_mil_fold(
    bags: Bags,
    labels: Floats,
    parts: npt.NDArray[np.integer],
    fold: int,
    settings: MilSettings,
    seed: int,
    report: Report = keep_going,
) -> FoldAnswer:
    """Train on all other folds, judge this one.

    Args:
        bags: P of them.
        labels: (P, T); nan where there is none.
        parts: (P,) fold of each patient; below 0: in none, neither trained on nor judged.
        fold: The one to judge.
        settings: Of the head.
        seed: Of a repeat; the fold is added here.
        report: As for `train_mil`.

    Returns:
        Of the rows of `fold`, in their order; `choice` is the epoch that the weights are from.

    Raises:
        ConfigError: As for `train_mil`.
    """
    labelled = np.isfinite(labels)
    trained = np.flatnonzero((parts >= 0) & (parts != fold) & labelled.any(1))
    judged = np.flatnonzero(parts == fold)
    own_seed = int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])
    head = train_mil(bags.take(trained), labels[trained], settings, own_seed, report)
    predicted = head.predict([bags.vectors[row] for row in judged])
    predicted[~labelled[judged]] = np.nan
    epochs = np.full(labels.shape[1], np.mean(head.epochs))
    return FoldAnswer(predicted, epochs, head.inner_score)
