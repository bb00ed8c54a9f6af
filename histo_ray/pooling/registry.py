"""The registry of poolings, and reading what a user asked for."""

from histo_ray.errors import ConfigError
from histo_ray.pooling.base import PoolingMethod
from histo_ray.pooling.methods.class_mean import ClassMeanPooling
from histo_ray.pooling.methods.class_means import ClassMeansPooling
from histo_ray.pooling.methods.maximum import MaxPooling
from histo_ray.pooling.methods.mean import MeanPooling
from histo_ray.pooling.methods.order_statistics import MedianPooling, QuantilePooling
from histo_ray.pooling.methods.standard_deviation import MeanStdPooling, StdPooling
from histo_ray.pooling.methods.tissue_mean import TissueMeanPooling

POOLINGS: list[type[PoolingMethod]] = [
    MeanPooling,
    StdPooling,
    MeanStdPooling,
    MaxPooling,
    MedianPooling,
    QuantilePooling,
    TissueMeanPooling,
    ClassMeanPooling,
    ClassMeansPooling,
]
"""A new pooling is a file in `methods/` and a line here."""


def parse_pooling(text: str) -> PoolingMethod:
    """Read the name of a pooling.

    Args:
        text: `mean`, `std` (of the tiles, ddof 0), `mean+std` (side by side), `max`, `median`,
            `quantiles` (10, 50 and 90 %, side by side), `tissue` (mean weighted by each tile's
            tissue fraction), `class:TUM` or `class:TUM,STR` (mean weighted by the probability of
            these classes), `classes` (such a mean for each class, side by side).

    Raises:
        ConfigError: It is none of these.
    """
    for kind in POOLINGS:
        method = kind.parse(text)
        if method is not None:
            return method
    usages = ", ".join(kind.usage for kind in POOLINGS)
    raise ConfigError(f"pool={text!r} is unknown; choose one of {usages}")
