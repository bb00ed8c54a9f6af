"""The registry of poolings, and reading what a user asked for."""

from histo_ray.errors import ConfigError
from histo_ray.pooling.base import PoolingMethod
from histo_ray.pooling.methods.class_mean import ClassMeanPooling
from histo_ray.pooling.methods.class_means import ClassMeansPooling
from histo_ray.pooling.methods.maximum import MaxPooling
from histo_ray.pooling.methods.mean import MeanPooling
from histo_ray.pooling.methods.order_statistics import MedianPooling, QuantilePooling
from histo_ray.pooling.methods.slide_encoder import SlideEncoderPooling
from histo_ray.pooling.methods.standard_deviation import MeanStdPooling, StdPooling
from histo_ray.pooling.methods.tissue_mean import TissueMeanPooling
from histo_ray.text import did_you_mean

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
            these classes), `classes` (such a mean for each class, side by side), `slide:NAME`
            (vectors of a slide encoder; of a patient the mean of them).

    Raises:
        ConfigError: It is none of these.
    """
    method = find_pooling(text)
    if method is None:
        raise ConfigError(f"pool={text!r} is unknown; {suggest_pooling(text)}")
    return method


def find_pooling(text: str) -> PoolingMethod | None:
    """Find the pooling of a name, as `parse_pooling` reads it; None if there is none."""
    found = (kind.parse(text) for kind in _list_all())
    return next((method for method in found if method is not None), None)


def suggest_pooling(text: str) -> str:
    """Say which poolings there are, and which of them an unknown name may have meant."""
    usages = [kind.usage for kind in _list_all()]
    return f"choose one of {', '.join(usages)}{did_you_mean(text, usages)}"


def _list_all() -> list[type[PoolingMethod]]:
    """List all poolings, with the one that reads what slide encoders made and pools no tiles."""
    return [*POOLINGS, SlideEncoderPooling]
