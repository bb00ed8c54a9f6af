"""What is known of patients beside their slides, as columns that a head is trained on. Pure.

Numbers are standardised like features, texts are one column a value, and a missing number takes the
mean of the training part beside a column that says so.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class CovariateUse(StrEnum):
    """What a head is trained on."""

    NONE = ""
    """Images alone."""
    ALONE = "alone"
    """Covariates alone."""
    ADDED = "added"
    """Images, beyond what covariates predict."""


@dataclass(frozen=True)
class Covariates:
    """Covariates of P patients."""

    asked: tuple[str, ...]
    """As settings name them, each of one column or several."""
    columns: tuple[str, ...]
    """(C,) names: `age`, or `stage = II` of a text."""
    values: Floats
    """(P, C); nan: a number that is missing. Of a text 0 and 1; where it is missing all are
    0, but `stage missing` is 1."""

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return self.values.nbytes


def impute_covariates(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Fill missing numbers by the mean of the training part, and add columns that say where.

    Args:
        train: (n, C); nan: missing.
        test: (m, C).

    Returns:
        (n, C + K) and (m, C + K), where K columns have a missing value in `train`.
    """
    missing = np.isnan(train)
    there = (~missing).sum(0)
    total = np.where(missing, 0.0, train).sum(0)
    mean = np.divide(total, there, out=np.zeros(len(there)), where=there > 0)
    told = missing.any(0)

    def fill(part: Floats) -> Floats:
        empty = np.isnan(part)
        return np.concatenate([np.where(empty, mean, part), empty[:, told]], axis=1)

    return fill(train), fill(test)
