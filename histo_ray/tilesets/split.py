"""Splits tile sets into training and held-out rows without leakage. Pure, given the seed."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from histo_ray.errors import ConfigError
from histo_ray.tilesets.read import describe_problems
from histo_ray.tilesets.tileset import TileSet

Rows = npt.NDArray[np.int64]

_ORDERS = 16
"""Random orders tried; the split that comes nearest to the given fraction is taken."""
_GOOD_ENOUGH = 1e-5
_ABSENT = 100.0
"""Cost of a class that is missing in a part: more than any misfit of fractions."""
_SHOWN = 10


def hold_out(tileset: TileSet, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Split a set in two, stratified by class.

    All tiles of a group, and all tiles of equal pixels, land in the same part. Without groups
    every class is as near to `fraction` as whole tiles allow; with groups as near as the best of
    some random orders gets.

    Args:
        tileset: The set.
        fraction: Share of the tiles to hold out, between 0 and 1.
        seed: Seed of the random orders that are tried.

    Returns:
        (n,) int64 rows to train on and (m,) rows held out, both ascending; every class is in both.

    Raises:
        ConfigError: `fraction` leaves a part empty, or classes that cannot be in both parts.
    """
    if not 0 < fraction < 1:
        raise ConfigError(
            f"tiles {tileset.name}: {fraction:g} of them to validate on would leave a part empty; "
            "give a fraction between 0 and 1"
        )
    units = bind_tiles(tileset)
    counts = np.zeros((units.max() + 1, len(tileset.classes)), np.int64)
    np.add.at(counts, (units, tileset.labels), 1)
    _check_splittable(tileset, counts)
    rng = np.random.default_rng(seed)
    best, lowest = np.zeros(len(counts), bool), np.inf
    for _ in range(_ORDERS):
        chosen, cost = _choose_units(counts, fraction, rng.permutation(len(counts)))
        if cost < lowest:
            best, lowest = chosen, cost
        if lowest < _GOOD_ENOUGH:
            break
    if lowest >= _ABSENT:
        raise ConfigError(
            f"tiles {tileset.name}: no split was found that has every class in both parts and each "
            "group in one; give more groups, or a held-out set of your own"
        )
    held = best[units]
    return np.flatnonzero(~held), np.flatnonzero(held)


def bind_tiles(tileset: TileSet) -> npt.NDArray[np.int64]:
    """(N,) number of the unit each tile belongs to: tiles of one unit must stay together.

    Two tiles are bound by a common group or by equal pixels, also through others.
    """
    marks = [tileset.digests] + ([tileset.groups] if tileset.groups is not None else [])
    count = len(tileset)
    ends, start = [], count
    for column in marks:
        _, index = np.unique(np.array(column), return_inverse=True)
        ends.append(index + start)
        start += int(index.max()) + 1
    rows = np.tile(np.arange(count), len(marks))
    columns = np.concatenate(ends)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(start, start))
    units = connected_components(graph, directed=False)[1][:count]
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def check_disjoint(train: TileSet, other: TileSet) -> None:
    """Check that a set can evaluate what was trained on another: no leakage, equal classes.

    Args:
        train: Tiles to train on.
        other: Tiles to evaluate on.

    Raises:
        ConfigError: All problems: equal pixels or patients in both, classes that only one of them
            has, another tile size.
    """
    problems = []
    if train.tile_px != other.tile_px:
        problems.append(f"tiles of {train.tile_px} px and of {other.tile_px} px")
    for one, two in ((train, other), (other, train)):
        alone = sorted(set(one.classes) - set(two.classes))
        problems += [f"class {label!r} is in {one.name} only" for label in alone]
    if train.groups is not None and other.groups is not None:
        shared = sorted(set(train.groups) & set(other.groups))
        problems += [f"group {group!r} is in both" for group in shared]
    known = dict(zip(train.digests, train.paths, strict=True))
    twins = [
        (known[digest], path)
        for digest, path in zip(other.digests, other.paths, strict=True)
        if digest in known
    ]
    problems += [f"{a} and {b} are the same pixels" for a, b in twins]
    if problems:
        raise ConfigError(describe_problems(f"{train.name} and {other.name}", problems))


def _check_splittable(tileset: TileSet, counts: npt.NDArray[np.int64]) -> None:
    """Every class needs two units, one for each part."""
    units = (counts > 0).sum(axis=0).tolist()
    what = "different tile" if tileset.groups is None else "group"
    thin = [
        f"class {label!r} has {number} {what}{'' if number == 1 else 's'}"
        for label, number in zip(tileset.classes, units, strict=True)
        if number < 2
    ]
    if thin:
        more = f" and {len(thin) - _SHOWN} more" if len(thin) > _SHOWN else ""
        raise ConfigError(
            f"tiles {tileset.name}: {'; '.join(thin[:_SHOWN])}{more}: too few for a class to be in "
            "both parts; add some, leave the class out, or give a held-out set"
        )


def _choose_units(
    counts: npt.NDArray[np.int64], fraction: float, order: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], float]:
    """Hold out units, in `order`, as long as that brings the classes nearer to `fraction`.

    Args:
        counts: (units, classes) tiles.
        fraction: To be held out of each class.
        order: (units,) permutation.

    Returns:
        (units,) bool, held out or not, and the cost: sum over classes of the squared misfit.
    """
    total = counts.sum(axis=0).astype(float)
    held = np.zeros_like(total)
    chosen = np.zeros(len(counts), bool)
    cost = _cost(held, total, fraction)
    for unit in order.tolist():
        trial = held + counts[unit]
        now = _cost(trial, total, fraction)
        if now < cost:
            held, cost, chosen[unit] = trial, now, True
    return chosen, cost


def _cost(held: npt.NDArray[Any], total: npt.NDArray[Any], fraction: float) -> float:
    misfit = (held / total - fraction) ** 2
    absent = (held == 0) | (held == total)
    return float(misfit.sum() + _ABSENT * absent.sum())
