"""Harmonise the features of sites: fitted on training parts alone, without a look at labels. Pure.

What a training part becomes depends on its own features and sites only. A patient of the test part
is moved as the patients of the same site in the training part are. A site that the training part
lacks, as where whole sites are held out, is measured by its own patients in the test part, without
labels: its offset, and for ComBat its spread, about the moments of the training part. So the
prediction of such a patient depends on the features (never on the labels) of the other tested
patients of the site: this is transductive, as a new hospital would have to collect some slides
before it predicts. Sites with fewer than `FEWEST` patients in a part are left as they are.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FEWEST = 5
"""Patients of a site below which its mean says more of the patients than of the site."""
_TOLERANCE = 1e-4
_MOST_STEPS = 200


class Harmonise(StrEnum):
    """How features of sites are made alike."""

    NONE = "none"
    CENTER = "center"
    """Every site is moved to the common mean, feature by feature."""
    COMBAT = "combat"
    """Location and scale of every site, shrunk over features by empirical Bayes."""


class Reference(NamedTuple):
    """Moments of a training part, about which sites are measured; all (D,)."""

    mean: Floats
    """Mean of all rows, each site's own offset taken away and the mean offset put back."""
    sd: Floats
    """Pooled within sites; 1 for a feature that does not vary."""


class SiteShift(NamedTuple):
    """What is done to the rows of one site: (x - mean) / sd becomes (z - offset) / spread."""

    offset: Floats
    """(D,) in units of the reference's sd."""
    spread: Floats
    """(D,)."""


_Measure = Callable[[Floats, Reference], SiteShift]


def harmonise_parts(
    train: Floats,
    test: Floats,
    train_sites: npt.NDArray[np.str_],
    test_sites: npt.NDArray[np.str_],
    method: Harmonise,
) -> tuple[Floats, Floats]:
    """Harmonise a training part, and a test part by it.

    Args:
        train: (n, D).
        test: (m, D).
        train_sites: (n,) site of each row; empty: not known, so the row is left as it is.
        test_sites: (m,).
        method: How.

    Returns:
        Both parts, of the same shapes.
    """
    if method is Harmonise.NONE:
        return train, test
    reference = measure_reference(train, train_sites)
    measure = _MEASURES[method]
    shifts = {site: measure(train[rows], reference) for site, rows in _list_sites(train_sites)}
    unseen = set(test_sites.tolist()) - set(train_sites.tolist())
    new = {
        site: measure(test[rows], reference)
        for site, rows in _list_sites(test_sites)
        if site in unseen
    }
    return (
        _apply(train, train_sites, reference, shifts),
        _apply(test, test_sites, reference, shifts | new),
    )


def measure_reference(train: Floats, sites: npt.NDArray[np.str_]) -> Reference:
    """Measure mean and within-site sd of a training part.

    Args:
        train: (n, D).
        sites: (n,) site of each row; those of sites with few patients count as one group.
    """
    within = train - train.mean(0)
    for _, rows in _list_sites(sites):
        within[rows] = train[rows] - train[rows].mean(0)
    variance = (within**2).mean(0)
    varies = variance > 1e-12 * np.maximum((train**2).mean(0), 1e-300)
    return Reference(train.mean(0), np.sqrt(np.where(varies, variance, 1.0)))


def _list_sites(sites: npt.NDArray[np.str_]) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """List the sites with enough patients, and their rows."""
    names, number, counts = np.unique(sites, return_inverse=True, return_counts=True)
    return [
        (str(name), np.flatnonzero(number == at))
        for at, name in enumerate(names)
        if name and counts[at] >= FEWEST
    ]


def _apply(
    features: Floats,
    sites: npt.NDArray[np.str_],
    reference: Reference,
    shifts: dict[str, SiteShift],
) -> Floats:
    moved = features.copy()
    for site, shift in shifts.items():
        rows = sites == site
        scaled = (features[rows] - reference.mean) / reference.sd
        moved[rows] = (scaled - shift.offset) / shift.spread * reference.sd + reference.mean
    return moved


def measure_offset(features: Floats, reference: Reference) -> SiteShift:
    """Measure a site's own mean.

    Args:
        features: (k, D) rows of the site.
        reference: Of the training part.
    """
    offset = ((features - reference.mean) / reference.sd).mean(0)
    return SiteShift(offset, np.ones_like(offset))


def measure_combat(features: Floats, reference: Reference) -> SiteShift:
    """Estimate location and scale of a site by ComBat's parametric empirical Bayes.

    Johnson, Li and Rabinovic 2007, Biostatistics 8:118, section 3: offsets of the features of a
    site are normal, squared spreads inverse gamma, both with moments estimated over features; the
    conditional posterior means are iterated until they rest. No covariate is protected, as that
    would need labels, or would let a covariate in by the back door.

    Args:
        features: (k, D) rows of the site, 2 or more.
        reference: Of the training part.
    """
    scaled = (features - reference.mean) / reference.sd
    count = len(scaled)
    offset, square = scaled.mean(0), scaled.var(0, ddof=1)
    prior_mean, prior_variance = offset.mean(), offset.var(ddof=1) if offset.size > 1 else 0.0
    mean, variance = square.mean(), square.var(ddof=1) if square.size > 1 else 0.0
    if not (prior_variance > 0 and variance > 0):  # one feature, or all alike: nothing to shrink to
        return SiteShift(offset, np.sqrt(np.where(square > 0, square, 1.0)))
    shape = mean**2 / variance + 2
    rate = mean * (shape - 1)
    new_offset, new_square = offset, np.where(square > 0, square, mean)
    for _ in range(_MOST_STEPS):
        before = new_offset, new_square
        weight = count * prior_variance
        new_offset = (weight * offset + new_square * prior_mean) / (weight + new_square)
        errors = ((scaled - new_offset) ** 2).sum(0)
        new_square = (rate + errors / 2) / (count / 2 + shape - 1)
        moved = np.abs(new_offset - before[0]).max()
        if max(moved, np.abs(new_square - before[1]).max()) < _TOLERANCE:
            break
    return SiteShift(np.asarray(new_offset), np.sqrt(new_square))


_MEASURES: dict[Harmonise, _Measure] = {
    Harmonise.CENTER: measure_offset,
    Harmonise.COMBAT: measure_combat,
}
