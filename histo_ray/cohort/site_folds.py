"""Folds that leave out one site at a time. Pure.

Leave-one-site-out, or internal-external cross-validation: Steyerberg and Harrell 2016, J Clin
Epidemiol 69:245; Howard et al. 2021, Nat Commun 12:4423, show what sites can feign in digital
histology.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histo_ray.cohort.join import Cohort, CohortRow
from histo_ray.cohort.patient_exclusions import Exclusion, PatientExclusion
from histo_ray.cohort.patient_folds import OutcomeFolds
from histo_ray.errors import ConfigError
from histo_ray.text import count_of

FEWEST_SITES = 2
"""Sites that a class or a value must be seen at: one is tested, another trained on."""


def draw_site_folds(groups: Sequence[str], seed: int) -> OutcomeFolds:
    """Make every site the test part once: one repeat, with as many folds as sites.

    Nothing is drawn: sites are numbered by their names.

    Args:
        groups: (P,) site of each patient, from `Cohort.groups("site")`.
        seed: Seed of what heads draw; recorded as that of the one repeat.

    Raises:
        ConfigError: Fewer than two sites.
    """
    names, fold = np.unique(np.asarray(groups, str), return_inverse=True)
    if len(names) < FEWEST_SITES:
        raise ConfigError(
            f"--leave-out site: all {count_of(len(groups), 'patient')} are of {names[0]}, but a "
            "site is tested by heads of the other ones; use --keep-together patient"
        )
    return OutcomeFolds(fold.astype(np.int32)[None], len(names), (seed,))


def exclude_siteless(cohort: Cohort) -> Cohort:
    """Leave out patients whose site is not known: they may be of the very site that is tested.

    Raises:
        ConfigError: No site is known.
    """
    kept = [at for at, sites in enumerate(cohort.sites) if sites]
    if len(kept) == len(cohort.sites):
        return cohort
    if not kept:
        raise ConfigError(
            "--leave-out site: no site is known; give a column `site` in the manifest, or leave "
            "this flag out"
        )
    patients = tuple(cohort.patients[at] for at in kept)
    alone = set(cohort.patients) - set(patients)
    note = (
        f"{count_of(len(alone), 'patient')} without a site left out, as they may be of the site "
        "that is tested"
    )
    return replace(
        cohort,
        patients=patients,
        persons=tuple(cohort.persons[at] for at in kept),
        sites=tuple(cohort.sites[at] for at in kept),
        labels=cohort.labels.take(kept, patients),
        rows=tuple(_exclude(row) if row.patient_id in alone else row for row in cohort.rows),
        notes=(*cohort.notes, note),
    )


def _exclude(row: CohortRow) -> CohortRow:
    return row._replace(exclusions=(Exclusion(PatientExclusion.NO_SITE),))
