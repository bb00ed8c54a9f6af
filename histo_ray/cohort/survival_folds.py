"""Folds of patients for survival: each endpoint's own, stratified by event. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import Folds, draw_folds, draw_plain_folds
from histo_ray.cohort.patient_folds import OutcomeFolds, draw_each

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

    def draw(own: Values, kept: Sequence[str] | None) -> Folds:
        events = own > 0
        units = range(len(own)) if kept is None else kept
        censored = {unit for unit, event in zip(units, events, strict=True) if not event}
        if len(censored) < n_folds:
            return draw_plain_folds(n_folds, repeats, seed, len(own), kept)
        labels = np.where(events, "event", "censored").tolist()
        return draw_folds(labels, n_folds, repeats, seed, kept)

    return draw_each("endpoint", values, targets, (n_folds, repeats, seed), groups, draw)
