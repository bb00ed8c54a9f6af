"""How well each encoder tells the site of a patient: patients, folds and features, bounded."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from histo_ray.cohort.folds import draw_folds
from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_features import Features, load_features
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.subgroup_columns import list_sites
from histo_ray.learn.targets.site_prediction import (
    SiteTruth,
    predict_sites,
    tabulate_site_prediction,
)
from histo_ray.store.store import Store

MOST_SITES = 20
"""Sites that are told apart, those with most patients."""
MOST_PATIENTS = 800
"""Patients that are taken, drawn by the run's seed; work grows with their cube."""
MOST_HEADS = 10
"""Heads of a site: repeats times folds, but one repeat at least."""
FEWEST_PATIENTS = 10
"""Patients of a site below which it is not told, nor fewer than there are folds."""
POOLING = "mean"


def check_sites(store: Store, plan: PatientPlan, features: Features) -> pa.Table | None:
    """Predict the sites of the patients from each encoder's mean features.

    About two CPU seconds an encoder for 450 patients and 20 sites, and less than 15 for any cohort:
    `MOST_SITES`, `MOST_PATIENTS` and `MOST_HEADS` bound the work.

    Args:
        store: Holds the features.
        plan: Patients, encoders, folds and seed.
        features: Pooled features that are loaded already.

    Returns:
        Rows of `schemas/outcome_site_prediction.json`; None with fewer than two sites of enough
        patients.
    """
    config, persons = plan.config, plan.patients.cohort.persons
    rows = choose_patients(list_sites(plan.patients.cohort), persons, config.folds, config.seed)
    if rows is None:
        return None
    sites = [list_sites(plan.patients.cohort)[at] for at in rows]
    own = [persons[at] for at in rows]
    repeats = max(1, MOST_HEADS // config.folds)
    groups = None if len(set(own)) == len(own) else own
    try:
        folds = draw_folds(sites, config.folds, repeats, config.seed, groups)
    except ConfigError:  # patients with slides of several sites leave a site too little
        return None
    names, numbers = np.unique(sites, return_inverse=True)
    truth = SiteTruth(
        tuple(map(str, names)), numbers, folds.fold_ids, np.unique(own, return_inverse=True)[1]
    )
    vectors = _take_features(store, plan, features)
    return tabulate_site_prediction(
        truth, {name: predict_sites(one[rows], truth) for name, one in vectors.items()}
    )


def choose_patients(
    sites: Sequence[str], persons: Sequence[str], n_folds: int, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.intp]] | None:
    """Choose the patients whose site is predicted, (N,) rows in order; None: too few sites.

    Args:
        sites: (P,) empty: unknown, or several.
        persons: (P,) who is one person.
        n_folds: Of the cross-validation.
        seed: Of the draw, where there are more than `MOST_PATIENTS`.
    """
    people = Counter(site for site, _ in set(zip(sites, persons, strict=True)) if site)
    ranked = sorted(people, key=lambda site: (-people[site], site))
    told = [site for site in ranked if people[site] >= max(FEWEST_PATIENTS, n_folds)][:MOST_SITES]
    if len(told) < 2:
        return None
    rows = np.flatnonzero(np.isin(np.asarray(sites, str), told))
    if len(rows) <= MOST_PATIENTS:
        return rows
    rng, kept = np.random.default_rng(seed), []
    share = MOST_PATIENTS / len(rows)
    for site in told:  # as many of each as its share, but enough
        own = np.flatnonzero(np.asarray(sites, str) == site)
        enough = max(FEWEST_PATIENTS, n_folds, round(share * len(own)))
        kept.append(rng.permutation(own)[:enough])
    return np.sort(np.concatenate(kept))


def _take_features(
    store: Store, plan: PatientPlan, features: Features
) -> Mapping[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """(P, D) mean of the tiles by encoder."""
    names = [slides.encoder for slides in plan.found]
    if any((name, POOLING) not in features for name in names):
        settings = plan.config.model_copy(update={"pooling": (POOLING,)})
        features = load_features(store, plan.found, plan.patients, settings)
    return {name: features[name, POOLING] for name in names}
