"""Folds of patients for survival: each endpoint's own, stratified by event. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import Folds, draw_folds, draw_plain_folds
from histo_ray.cohort.patient_folds import OutcomeFolds
from histo_ray.errors import ConfigError

Values = npt.NDArray[np.float64]


def draw_event_folds(
    values: Values,
    targets: Sequence[str],
    n_folds: int,
    repeats: int,
    seed: int,
    groups: Sequence[str],
) -> OutcomeFolds:
    """Draw folds of each endpoint for itself; each fold gets its share of the events.

    Where there are fewer censored patients (or groups of them) than folds, nearly all have an
    event, and folds are drawn without strata.

    Args:
        values: (P, T) signed times; nan where unknown.
        targets: (T,) names, for messages.
        n_folds: Folds of a repeat.
        repeats: Splits drawn for each endpoint; equal ones of an endpoint are left out.
        seed: Seed of the first repeat, for each endpoint.
        groups: (P,) patient, or site.

    Raises:
        ConfigError: An endpoint with too few events, or events at too few sites.
    """
    fold_ids = np.full((len(targets), repeats, len(values)), -1, np.int32)
    for t, target in enumerate(targets):
        rows = np.flatnonzero(~np.isnan(values[:, t]))
        some = [groups[int(row)] for row in rows]
        try:
            folds = _draw(values[rows, t] > 0, some, n_folds, repeats, seed)
        except ConfigError as error:
            raise ConfigError(f"endpoint {target}: {error}") from None
        fold_ids[np.ix_(np.array([t]), np.array(folds.seeds) - seed, rows)] = folds.fold_ids
    kept = np.flatnonzero((fold_ids >= 0).any((0, 2)))
    return OutcomeFolds(fold_ids[:, kept], n_folds, tuple(int(seed + at) for at in kept))


def _draw(
    events: npt.NDArray[np.bool_], groups: Sequence[str], n_folds: int, repeats: int, seed: int
) -> Folds:
    alone = len(set(groups)) == len(groups)
    kept = None if alone else groups
    censored = {group for group, event in zip(groups, events, strict=True) if not event}
    if len(censored) < n_folds:
        return draw_plain_folds(n_folds, repeats, seed, len(events), kept)
    labels = np.where(events, "event", "censored").tolist()
    return draw_folds(labels, n_folds, repeats, seed, kept)
