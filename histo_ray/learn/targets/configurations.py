"""Configurations that compete, and how one is selected: by inner scores alone. Pure.

A configuration is an encoder, a pooling and a head. Each is evaluated by the same nested
cross-validation. For each target, repeat and fold, the encoder's configuration with the best score
inner score of that fold is selected, so nothing of the test part bears on the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.learn.covariates import CovariateUse


@dataclass(frozen=True, order=True)
class Configuration:
    """One way from tiles to predictions."""

    encoder: str
    pooling: str
    """As for `Store.matrix`; `bags` for MIL."""
    head: str
    variant: str = ""
    """Hyperparameters that are searched rather than chosen by the head itself, as `rate=0.001`."""
    use: CovariateUse = CovariateUse.NONE
    """Whether it sees images, covariates, or images beyond covariates."""
    source: str = ""
    """Encoder whose images it sees, where `encoder` is the name of a row that is no encoder's."""

    @property
    def features(self) -> tuple[str, str]:
        """Encoder and pooling of its features."""
        return self.source or self.encoder, self.pooling

    def __str__(self) -> str:
        parts = [self.encoder, self.pooling, self.head, self.variant]
        return " / ".join(part for part in parts if part)


def select_configurations(
    configurations: Sequence[Configuration], inner_scores: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Choose one configuration of each encoder for each repeat, fold and target.

    Args:
        configurations: C of them; of equals the earlier one is chosen.
        inner_scores: (C, R, F, T) score on inner folds, higher is better; nan where a
            configuration was stopped early or could not be scored: it is chosen only if all are.

    Returns:
        (C, R, F, T); true for exactly one configuration of each encoder.
    """
    scores = np.where(np.isnan(inner_scores), -np.inf, inner_scores)
    selected = np.zeros(scores.shape, bool)
    encoders = np.array([configuration.encoder for configuration in configurations])
    for encoder in dict.fromkeys(encoders.tolist()):
        rows = np.flatnonzero(encoders == encoder)
        best = rows[scores[rows].argmax(0)]  # (R, F, T)
        np.put_along_axis(selected, best[None], True, axis=0)
    return selected


def assemble_predictions(
    predicted: npt.NDArray[np.float32],
    selected: npt.NDArray[np.bool_],
    fold_ids: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Out-of-fold predictions of one encoder, each from the configuration selected for its fold.

    Args:
        predicted: (C, R, P, T) of the encoder's configurations.
        selected: (C, R, F, T), one of C each.
        fold_ids: (R, P) fold of each patient, or (T, R, P) where targets have folds of their own;
            -1 where a patient is not tested.

    Returns:
        (R, P, T); nan where a patient is not tested.
    """
    count, repeats, patients, targets = predicted.shape
    if count == 1:
        alone: npt.NDArray[np.float32] = predicted[0]
        return alone
    by_target = (
        np.broadcast_to(fold_ids, (targets, repeats, patients)) if fold_ids.ndim == 2 else fold_ids
    )
    fold = np.moveaxis(by_target, 0, -1)  # (R, P, T)
    chosen = selected.argmax(0)  # (R, F, T)
    at = np.take_along_axis(chosen, np.maximum(fold, 0), axis=1)  # (R, P, T)
    assembled = np.take_along_axis(predicted, at[None], axis=0)[0]
    kept: npt.NDArray[np.float32] = np.where(fold >= 0, assembled, np.float32(np.nan))
    return kept
