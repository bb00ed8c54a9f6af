"""Groups of tiles that may be of one slide, from their stain and colour. Pure, given the seed.

Within each class tiles are clustered (Ward 1963, J Am Stat Assoc 58:236), and clusters of different
classes are joined where their stains are alike. Near-duplicates are one point of the clustering, so
they are never apart. The groups are a guess: tiles of two slides that were stained alike share one,
and a slide that was stained unevenly has several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

FEWEST_CLUSTERS = 5
"""Of a class, so that five folds can be filled."""
MOST_POINTS = 2000
"""Points of a class that are clustered by Ward's method; more are put into as many cells first."""
SILHOUETTE_POINTS = 1000
"""Points that a silhouette is the mean of at most."""
TRIED = 12
"""Numbers of clusters that are tried."""

Floats = npt.NDArray[np.float32]
Groups = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Cluster:
    """Tiles of one class that are stained alike."""

    label: int
    rows: Groups
    centre: npt.NDArray[np.float64]
    """(S,) mean slide signature."""
    radius: float
    """Root mean square distance of its tiles from the centre."""


def cluster_colours(
    colours: Floats,
    signatures: Floats,
    labels: npt.NDArray[np.integer],
    pairs: npt.NDArray[np.int64],
    seed: int = 0,
    fewest: int = FEWEST_CLUSTERS,
) -> Groups:
    """Group tiles that may be of one slide.

    The number of clusters of a class of n points is, of `TRIED` numbers between sqrt(n / 2) / 2 and
    twice sqrt(n / 2) (n / 2: Mardia, Kent and Bibby 1979, Multivariate Analysis, p. 365), the one
    with the largest mean silhouette (Rousseeuw 1987), and `fewest` at least.

    Args:
        colours: (N, D) by which tiles of a class are clustered; each column is standardised within
            the class.
        signatures: (N, S) by which clusters of two classes are compared: what the slide decides and
            the class does not. On one scale for all columns.
        labels: (N,) class of each tile.
        pairs: (E, 2) rows that must not be apart.
        seed: Of k-means (classes of more than `MOST_POINTS` points) and of the silhouette's sample.
        fewest: Clusters of a class at least, where it has so many points.

    Returns:
        (N,) group of each tile, numbered from 0 on in the order of their first tile.
    """
    count = len(labels)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    bound = connected_components(graph, directed=False)[1]
    clusters: list[_Cluster] = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        points, index = np.unique(bound[rows], return_inverse=True)
        centres = _mean_by(_standardise(colours[rows]), index, len(points))
        own = _cluster_points(centres, seed, fewest)[index]
        clusters += [
            _describe(int(label), rows[own == number], signatures) for number in np.unique(own)
        ]
    joined = _join_classes(clusters)
    found = np.empty(count, np.int64)
    for cluster, group in zip(clusters, joined, strict=True):
        found[cluster.rows] = group
    return _bind(found, bound)


def _cluster_points(points: npt.NDArray[np.float64], seed: int, fewest: int) -> Groups:
    """(n,) cluster of each point of one class."""
    count = len(points)
    if count <= fewest:
        return np.arange(count)
    cells = np.arange(count)
    if count > MOST_POINTS:
        means = KMeans(MOST_POINTS, n_init=1, max_iter=20, random_state=seed).fit(points)
        cells, points = means.labels_.astype(np.int64), means.cluster_centers_
    tree = linkage(points, "ward")
    rng = np.random.default_rng([seed, count])
    some = np.sort(rng.permutation(len(points))[:SILHOUETTE_POINTS])
    best, highest = np.zeros(len(points), np.int64), -np.inf
    for number in _numbers(count, len(points), fewest):
        own = fcluster(tree, number, "maxclust").astype(np.int64)
        kinds = len(np.unique(own[some]))
        score = silhouette_score(points[some], own[some]) if 1 < kinds < len(some) else -1.0
        if score > highest:
            best, highest = own, score
    return best[cells]


def _numbers(tiles: int, points: int, fewest: int) -> Sequence[int]:
    """Numbers of clusters to try, ascending."""
    usual = np.sqrt(tiles / 2)
    low = max(fewest, round(usual / 2))
    high = max(low, round(2 * usual))
    tried = np.unique(np.geomspace(low, high, TRIED).round().astype(int))
    return [int(number) for number in tried if number < points] or [points - 1]


def _describe(label: int, rows: Groups, signatures: Floats) -> _Cluster:
    own = signatures[rows].astype(np.float64)
    centre = own.mean(axis=0)
    radius = float(np.sqrt(((own - centre) ** 2).sum(axis=1).mean()))
    return _Cluster(label, rows, centre, radius)


def _join_classes(clusters: Sequence[_Cluster]) -> Groups:
    """(C,) group of each cluster.

    Two clusters of different classes are alike if each is the other's nearest of its class, and
    their centres are nearer than the mean of their radii. Those most alike are joined first; a
    group never gets two clusters of one class, so that the classes keep their numbers of groups.
    """
    groups = np.arange(len(clusters), dtype=np.int64)
    centres = np.array([cluster.centre for cluster in clusters])
    labels = np.array([cluster.label for cluster in clusters])
    radii = np.array([cluster.radius for cluster in clusters])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    nearest = {
        label: np.flatnonzero(labels == label)[apart[:, labels == label].argmin(axis=1)]
        for label in np.unique(labels).tolist()
    }
    alike = [
        (float(apart[one, other]), one, other)
        for one in range(len(clusters))
        for label in nearest
        if label > labels[one]
        for other in [int(nearest[label][one])]
        if int(nearest[int(labels[one])][other]) == one
        and apart[one, other] < (radii[one] + radii[other]) / 2
    ]
    for _, one, other in sorted(alike):
        members = np.isin(groups, [groups[one], groups[other]])
        if groups[one] != groups[other] and len(set(labels[members])) == members.sum():
            groups[members] = min(groups[one], groups[other])
    return groups


def _bind(groups: Groups, bound: npt.NDArray[np.integer]) -> Groups:
    """Join groups that share tiles which must not be apart, and number them by their first tile."""
    start = int(groups.max()) + 1
    size = start + int(bound.max()) + 1
    edges = coo_array((np.ones(len(groups), bool), (groups, bound + start)), shape=(size, size))
    joined = connected_components(edges, directed=False)[1][groups]
    _, first, index = np.unique(joined, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[index].astype(np.int64)


def _standardise(values: Floats) -> npt.NDArray[np.float64]:
    wide = values.astype(np.float64)
    spread = wide.std(axis=0)
    scaled: npt.NDArray[np.float64] = (wide - wide.mean(axis=0)) / np.where(
        spread > 1e-9, spread, 1
    )
    return scaled


def _mean_by(
    values: npt.NDArray[np.float64], index: npt.NDArray[np.integer], count: int
) -> npt.NDArray[np.float64]:
    """(count, D) mean of the values with each index."""
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, index, values)
    total /= np.bincount(index, minlength=count)[:, None]
    return total
