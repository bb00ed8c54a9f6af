"""Covariance of fold scores under chance, from the folds themselves. Pure.

Two folds that share training and test rows have scores in common. Where features say nothing of
labels, the score of a head that is linear in the labels is a sum of label x kernel x label over
pairs of a training row and a test row, so two folds have in common what the pairs that both of
them split contribute. Counting these pairs gives the covariance up to a factor for any folds: few
groups, equal splits, folds of unequal size. Nadeau and Bengio 2003, Machine Learning 52:239, take
one correlation for all pairs of folds; it is the limit of many independent rows.

A correlation is such a sum divided by the lengths of labels and predictions in its own test part,
which chance changes from fold to fold. Folds that test other rows therefore have less in common
than the sums, by what the length of a random vector of n - 1 entries varies; and less again where
scores look at ranks or classes of predictions only.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

RANKED, DECIDED = 3 / np.pi, 2 / np.pi
"""Squared correlation of a normal variable with its rank, as in an AUROC, and with its sign, as in
an accuracy: what scores of other rows keep of the correlation of sums (Pitman efficiency of the
rank-sum and the sign test, Lehmann 1975, Nonparametrics, appendix)."""
MOST_FOLDS = 1000
"""Folds whose covariance is computed; the first ones stand for all where there are more."""


def flag_folds(fold_ids: npt.NDArray[np.integer], n_folds: int) -> npt.NDArray[np.bool_]:
    """Which rows each fold tests.

    Args:
        fold_ids: (R, N) fold of each row in each repeat, from 0; below 0: in none.
        n_folds: Folds of a repeat, F.

    Returns:
        (R * F, N), repeat by repeat.
    """
    numbers = np.arange(n_folds)
    return np.asarray((fold_ids[:, None, :] == numbers[:, None]).reshape(-1, fold_ids.shape[1]))


def label_covariance(tested: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """Covariance of correlations or AUROCs within folds, given the labels.

    With few positives it is the pairs of positives that decide, which counting rows would miss.

    Args:
        tested: (J, N) rows that each fold tests; it trains on all others.
        labels: (N,) finite.

    Returns:
        (J, J) up to a factor; nan in the row and column of a fold with constant labels on either
        side.
    """
    in_test, in_training = (_centre(rows, labels) for rows in (tested, ~tested))
    found = _pair_covariance(
        in_test @ in_test.T, in_training @ in_training.T, in_test @ in_training.T
    )
    return found * _share_lengths(tested, np.ones(tested.shape[1]), RANKED)


def count_covariance(
    tested: npt.NDArray[np.bool_], weights: Floats | None = None, kept: float = 1.0
) -> Floats:
    """Covariance of fold scores over all labels that are equally likely for each row.

    Args:
        tested: (J, N) rows, or groups of rows, that each fold tests; it trains on all others.
        weights: (N,) rows in each group; None: one each.
        kept: What scores of other rows keep of the correlation of sums: 1 for correlations,
            `DECIDED` for accuracies.

    Returns:
        (J, J) up to a factor; nan in the row and column of a fold with fewer than two rows on
        either side.
    """
    size = np.ones(tested.shape[1]) if weights is None else np.asarray(weights, np.float64)
    in_test, in_training = tested.astype(np.float64), (~tested).astype(np.float64)

    def shared(one: Floats, other: Floats) -> Floats:
        """Trace of the product of two centring matrices."""
        both = (one * size) @ other.T
        i, j = (one @ size)[:, None], (other @ size)[None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(both * (1 - 1 / i - 1 / j) + both**2 / (i * j))

    found = _pair_covariance(
        shared(in_test, in_test), shared(in_training, in_training), shared(in_test, in_training)
    )
    return found * _share_lengths(tested, size, kept)


def _centre(rows: npt.NDArray[np.bool_], labels: Floats) -> Floats:
    """(J, N) labels about the mean of each fold's rows, 0 in_training them."""
    size = np.maximum(rows.sum(1), 1)
    means = (rows @ labels) / size
    return np.asarray(rows * (labels - means[:, None]))


def _pair_covariance(in_test: Floats, in_training: Floats, across: Floats) -> Floats:
    """Pairs that both folds split, scaled to scores: the variance of one is that of few test rows.

    Args:
        in_test: (J, J) what test parts share.
        in_training: (J, J) what training parts share.
        across: (J, J) what the test part of one and the training part of the other share.
    """
    pairs = in_test * in_training + across * across.T
    tests = in_test.diagonal()
    scale = np.sqrt(pairs.diagonal() * tests)
    tiny = 1e-9 * max(float(np.nanmax(scale, initial=0.0)), 1e-300)
    scale = np.where(scale > tiny, scale, np.nan)
    return np.asarray(pairs / scale[:, None] / scale)


def _share_lengths(tested: npt.NDArray[np.bool_], weights: Floats, kept: float) -> Floats:
    """What is left of the correlation of two sums after each is divided by its own lengths.

    With z the cosine of two random vectors of m entries and l their lengths, the correlation of z
    and z * l * l' is a = (E l)^2 / E l^2 = 2 / m * (gamma((m + 1) / 2) / gamma(m / 2))^2. Two folds
    that test other rows keep a * a' * kept of their correlation, one fold given twice keeps all,
    and those that share some test rows lie between by their share.

    Args:
        tested: (J, N) as `count_covariance`.
        weights: (N,) rows in each.
        kept: As `count_covariance`.

    Returns:
        (J, J), 1 on the diagonal.
    """
    rows = tested @ weights
    entries = np.maximum(rows - 1, 1.0)
    log_mean = special.gammaln((entries + 1) / 2) - special.gammaln(entries / 2)
    own = 2 / entries * np.exp(2 * log_mean)
    size = np.sqrt(np.maximum(rows, 1e-300))
    share = (tested * weights) @ tested.T.astype(np.float64) / size[:, None] / size
    return np.asarray(1 - (1 - kept * np.outer(own, own)) * (1 - share))
