"""Attention heads on bags for `testing.coverage_cohorts`, small enough to train many."""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.learn.mil.fold import MilFold, predict_mil_fold
from histo_ray.learn.mil.mil_settings import MilSettings

Floats = npt.NDArray[np.float64]
TILES = 8
SETTINGS = MilSettings(
    hidden=16, attention=8, epochs=15, patience=5, tiles_per_bag=TILES, members=1
)


def draw_bags(features: npt.NDArray[np.float32], seed: int) -> Bags:
    """Draw tiles about the (P, D) vectors of patients, with noise of the same size."""
    rng = np.random.default_rng([seed, len(features), 4])
    shape = (len(features), TILES, features.shape[1])
    tiles = features[:, None] + rng.normal(size=shape)
    return measure_bags(list(tiles.astype(np.float32)))


def predict_bags(
    bags: Bags, values: Floats, fold_ids: npt.NDArray[np.integer], seed: int
) -> Floats:
    """Predict one target, (P, 1), by heads trained on all other folds.

    Args:
        bags: Of P patients.
        values: (P, 1).
        fold_ids: (P,); those of no fold are nan.
        seed: Of the heads.
    """
    predicted = np.full(values.shape, np.nan)
    for fold in range(int(fold_ids.max()) + 1):
        found = predict_mil_fold(MilFold(bags, values, fold_ids, fold, SETTINGS, seed))
        predicted[fold_ids == fold] = found.predicted
    return predicted
