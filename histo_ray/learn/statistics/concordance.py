"""How well predicted risks order patients by their times: C-indices. Pure.

A pair counts if it is known who had the event first: the earlier time ends in an event, and the
other patient was seen later, or censored at the same time. Two events at one time do not count,
equal risks count half. Signed times as in `types.signed_times`; a patient without a time or a
prediction of an endpoint is left out for that endpoint.
"""

import numpy as np
import numpy.typing as npt

from histo_ray.learn.statistics.draws import Floats, Resampled, draw_weights
from histo_ray.learn.statistics.kaplan_meier import StepCurve
from histo_ray.types.signed_times import split_times

Values = npt.NDArray[np.floating]
Weights = npt.NDArray[np.float32]


def score_concordance(truth: Values, predicted: Values) -> Floats:
    """Harrell's C: Harrell, Lee and Mark 1996, Stat Med 15:361.

    `sksurv.metrics.concordance_index_censored` gives the same.

    Args:
        truth: (P, T) signed times; nan: no label.
        predicted: (P, T) risks, higher means earlier; nan: not predicted.

    Returns:
        (T,); nan where no pair counts. 0.5 is a guess.
    """
    found = np.full(truth.shape[1], np.nan)
    for target in range(truth.shape[1]):
        signed, risks = _keep(truth[:, target], predicted[:, target])
        earlier, later = list_pairs(signed)
        if len(earlier):
            found[target] = _win(risks[earlier], risks[later]).mean()
    return found


def score_concordance_ipcw(
    signed: Floats, risks: Floats, censoring: StepCurve, horizon: float
) -> float:
    """Uno's C up to a horizon, each pair weighted by how rarely its earlier event goes unseen.

    It estimates the C-index as if nobody were censored before the horizon: Uno et al. 2011, Stat
    Med 30:1105, doi 10.1002/sim.4154. `sksurv.metrics.concordance_index_ipcw` gives the same.

    Args:
        signed: (N,) signed times.
        risks: (N,).
        censoring: Of the training part.
        horizon: Events at or after it do not count.

    Returns:
        nan where no pair counts.
    """
    earlier, later = list_pairs(signed)
    times = np.abs(signed)[earlier]
    followed = censoring.at(times)
    weights = np.divide(
        1, followed**2, out=np.zeros(len(times)), where=(followed > 0) & (times < horizon)
    )
    total = float(weights.sum())
    return float(weights @ _win(risks[earlier], risks[later])) / total if total else float("nan")


def list_pairs(signed: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """List the pairs that count, as (earlier, later), of (N,) signed times."""
    times, events = split_times(signed)
    known = (times[:, None] < times) | ((times[:, None] == times) & ~events)
    rows = np.flatnonzero(events)
    first, later = np.nonzero(known[rows])
    return rows[first], later


def bootstrap_concordance(
    truth: Values,
    predicted: Values,
    resamples: int = 1000,
    seed: int = 0,
    fold_ids: npt.NDArray[np.integer] | None = None,
) -> Resampled:
    """Mean over repeats and folds of Harrell's C within a fold, and in resamples of patients.

    All repeats of a patient are drawn together, and patients with and without an event apart, so
    that a resample has as many of each as the cohort.

    Args:
        truth: (P, T) signed times; nan: no label.
        predicted: (R, P, T); a patient who is nan in any repeat is left out of resamples.
        resamples: How many, B.
        seed: Of the draws; the same for encoders that are to be compared.
        fold_ids: (R, P), or (T, R, P) where endpoints have their own, fold of each patient; < 0: in
            none. None: a repeat is one fold.

    Returns:
        nan for an endpoint without a fold that has a pair; folds without one, as drawn, do not
        count.
    """
    score = np.full(truth.shape[1], np.nan)
    draws = np.full((resamples, truth.shape[1]), np.nan, np.float32)
    for target in range(truth.shape[1]):
        scores = predicted[:, :, target]
        repeats = ~np.isnan(scores).all(1)
        kept = ~np.isnan(truth[:, target]) & ~np.isnan(scores[repeats]).any(0)
        signed = np.asarray(truth[kept, target], np.float64)
        if not repeats.any() or not (signed > 0).any():
            continue
        own = np.zeros((int(repeats.sum()), len(signed)), int)
        if fold_ids is not None:
            ids = fold_ids[target] if fold_ids.ndim == 3 else fold_ids
            own = ids[repeats][:, kept]
        drawn = _draw_by_event(signed > 0, resamples, seed)
        rows = np.concatenate([np.ones((1, len(signed)), np.float32), drawn])
        found = _mean_concordance(rows, signed, scores[repeats][:, kept], own)
        score[target], draws[:, target] = found[0], found[1:]
    return Resampled(score, draws)


def resample_concordance(weights: Weights, signed: Floats, risks: Floats) -> Floats:
    """Harrell's C of one predictor in resamples of patients, (B,); nan where no pair counts.

    Args:
        weights: (B, N) how often each patient is drawn.
        signed: (N,) signed times.
        risks: (N,).
    """
    one_fold = np.zeros((1, len(signed)), int)
    return _mean_concordance(weights, signed, risks[None], one_fold)


def _mean_concordance(
    weights: Weights, signed: Floats, scores: Values, fold_ids: npt.NDArray[np.integer]
) -> Floats:
    """(B,) mean over repeats and folds of C with each patient counted `weights` times.

    Args:
        weights: (B, N).
        signed: (N,).
        scores: (R, N).
        fold_ids: (R, N).
    """
    total, defined = np.zeros(len(weights)), np.zeros(len(weights))
    for repeat, own in zip(scores, fold_ids, strict=True):
        for fold in range(int(own.max()) + 1):
            rows = np.flatnonzero(own == fold)
            times, events = split_times(signed[rows])
            first = np.flatnonzero(events)
            known = times[first, None] < times
            known |= (times[first, None] == times) & ~events
            if not known.any():
                continue
            risks = repeat[rows]
            wins = _win(risks[first, None], risks).astype(np.float32) * known
            of_first, of_all = weights[:, rows[first]], weights[:, rows]
            pairs = np.einsum("bn,bn->b", of_first @ known.astype(np.float32), of_all)
            found = np.einsum("bn,bn->b", of_first @ wins, of_all)
            there = pairs > 0
            total += np.divide(found, pairs, out=np.zeros(len(pairs)), where=there)
            defined += there
    return np.asarray(np.divide(total, defined, out=np.full(len(total), np.nan), where=defined > 0))


def _draw_by_event(events: npt.NDArray[np.bool_], resamples: int, seed: int) -> Weights:
    """(B, N) how often each patient is drawn, within those with an event and those without."""
    seeds = np.random.SeedSequence(seed).generate_state(2)
    weights = np.empty((resamples, len(events)), np.float32)
    for side, own in zip((events, ~events), seeds, strict=True):
        if side.any():
            weights[:, side] = draw_weights(int(side.sum()), resamples, int(own))
    return weights


def _win(one: Values, other: Values) -> Floats:
    return np.asarray((one > other) + 0.5 * (one == other), np.float64)


def _keep(truth: Values, predicted: Values) -> tuple[Floats, Floats]:
    there = ~(np.isnan(truth) | np.isnan(predicted))
    return np.asarray(truth[there], np.float64), np.asarray(predicted[there], np.float64)
