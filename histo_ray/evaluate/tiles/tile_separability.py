"""How far apart training and test parts of labelled tiles are in colour."""

import numpy as np

from histo_ray.evaluate.tiles.tile_tables import TissuePlan
from histo_ray.evaluate.tiles.tile_units import CV, TEST
from histo_ray.learn.tiles.part_separability import separate_folds, separate_parts


def measure_separability(plan: TissuePlan) -> dict[str, dict[str, float]]:
    """Measure how well colour tells test from training part, by split and class.

    Of cross-validation the first repeat is looked at.

    Args:
        plan: Of a run with colours.

    Returns:
        AUROC of each class by split; nan where a part has too few tiles of a class.
    """
    if not plan.colours:
        return {}
    truth, seed = plan.embedded[CV].truth, plan.config.seed
    colours, count = plan.colours[CV], len(truth.classes)
    found = {}
    for split in plan.splits:
        folds = plan.folds_of(split)
        if folds is not None:
            own = separate_folds(colours, truth.labels, folds.fold_ids[0], count, seed)
        else:
            others = plan.embedded[TEST].truth.labels
            own = separate_parts(
                np.concatenate([colours, plan.colours[TEST]]),
                np.concatenate([truth.labels, others]),
                np.arange(len(colours) + len(others)) >= len(colours),
                count,
                seed,
            )
        found[split] = dict(zip(truth.classes, own.tolist(), strict=True))
    return found
