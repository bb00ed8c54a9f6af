"""Scores of all targets of a plan, a block of targets at a time."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from histo_ray.evaluate.patients.added_value import correlate_rows
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.prediction_blocks import EncoderPieces, list_blocks
from histo_ray.evaluate.patients.review_tables import ReviewScores, score_reviews
from histo_ray.learn.statistics import chance_statistic
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_scores import EncoderScores, join_scores, score_encoder
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth

THREADS = 2
"""Blocks scored at a time; more would need more memory, and Python's lock lets few run."""
PERMUTED_AT_ONCE = 1000
"""Permuted targets whose predictions are held at once."""


class ScoredPlan(NamedTuple):
    """What the predictions of a plan come to."""

    scores: dict[str, EncoderScores]
    """By encoder, or row of covariates."""
    added: dict[str, Floats]
    """(R, F, T) what images add to covariates, by encoder."""
    reviews: list[ReviewScores | None]
    """A block each."""


def score_plan(
    plan: PatientPlan, matrix: TargetMatrix, found: Mapping[str, EncoderPieces]
) -> ScoredPlan:
    """Score the selected predictions of each encoder; memory holds those of one block.

    Args:
        plan: Labels, folds, covariates, sites and subgroups.
        matrix: Labels, and permuted ones behind them.
        found: Pieces by encoder, or row of covariates.
    """
    truth = plan.truth
    nulls = {
        name: measure_null(plan, matrix, one) if plan.permutations else None
        for name, one in found.items()
    }
    blocks = list_blocks(truth, len(plan.configurations), plan.config.resamples)
    if len(blocks) == 1:
        parts = [_score_block(plan, truth, slice(0, len(plan.outputs)), found, nulls)]
    else:
        each = [(truth.take_targets(block), block) for block in blocks]
        with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
            parts = list(
                pool.map(lambda one: _score_block(plan, one[0], one[1], found, nulls), each)
            )
    added = {
        name: np.concatenate([part.added[name] for part in parts], axis=-1)
        for name in parts[0].added
    }
    return ScoredPlan(
        {name: join_scores([part.scores[name] for part in parts]) for name in found},
        added,
        [review for part in parts for review in part.reviews],
    )


def _score_block(
    plan: PatientPlan,
    truth: TargetTruth,
    outputs: slice,
    found: Mapping[str, EncoderPieces],
    nulls: Mapping[str, Floats | None],
) -> ScoredPlan:
    predictions = {
        name: truth.layout.decode(one.read(outputs).assembled) for name, one in found.items()
    }
    encoders = {slides.encoder: predictions[slides.encoder] for slides in plan.found}
    scores = score_predictions(plan, truth, predictions, nulls)
    for name, one in found.items():
        if len(one.configurations) > 1:  # what each of them scores is another
            scores[name] = replace(scores[name], others_by_fold=None)
    return ScoredPlan(
        scores,
        correlate_rows(plan, truth, predictions),
        [score_reviews(plan, truth, encoders)],
    )


def score_predictions(
    plan: PatientPlan,
    truth: TargetTruth,
    predictions: Mapping[str, Predictions],
    nulls: Mapping[str, Floats | None] | None = None,
) -> dict[str, EncoderScores]:
    """Score (R, P, T) predictions by encoder.

    Args:
        plan: Resamples and seed.
        truth: The targets of the plan, or some of them.
        predictions: Of these.
        nulls: From `measure_null`, by encoder; None: there are no permuted targets.
    """
    config = plan.config
    return {
        name: score_encoder(
            truth, one, config.resamples, config.seed, None if nulls is None else nulls[name]
        )
        for name, one in predictions.items()
    }


def measure_null(plan: PatientPlan, matrix: TargetMatrix, found: EncoderPieces) -> Floats:
    """Score the permuted targets in each repeat, (R, B), some of them at a time."""
    truth, first = plan.truth, len(plan.outputs)
    last = matrix.targets.shape[1]
    parts = []
    for start in range(first, last, PERMUTED_AT_ONCE):
        some = slice(start, min(last, start + PERMUTED_AT_ONCE))
        parts.append(_measure(truth, matrix.targets[:, some], found.read(some).assembled))
    return np.concatenate(parts, axis=1)


def _measure(truth: TargetTruth, permuted: Floats, predicted: npt.NDArray[np.float32]) -> Floats:
    scores: Sequence[Floats] = [
        chance_statistic(permuted, one, fold_ids, truth.sites)
        for one, fold_ids in zip(predicted, truth.fold_ids, strict=True)
    ]
    return np.stack(scores)
