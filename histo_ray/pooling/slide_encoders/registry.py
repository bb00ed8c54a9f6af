"""The registry of slide encoders of ours. Of others: `encoders.slide_table`, and plugins."""

from histo_ray.errors import ConfigError
from histo_ray.pooling.slide_encoders.base import FittedMethod, SlideMethod
from histo_ray.pooling.slide_encoders.methods.covariance import CovarianceEncoder
from histo_ray.pooling.slide_encoders.methods.fisher import FisherEncoder
from histo_ray.pooling.slide_encoders.methods.mean import MeanEncoder
from histo_ray.pooling.slide_encoders.methods.mixture import MixtureEncoder
from histo_ray.pooling.slide_encoders.methods.quantiles import QuantilesEncoder
from histo_ray.pooling.slide_encoders.methods.vlad import VladEncoder
from histo_ray.text import did_you_mean, join_or

METHODS: list[type[SlideMethod]] = [MeanEncoder, QuantilesEncoder, CovarianceEncoder]
"""Methods that see one slide alone; a new one is a file in `methods/` and a line here."""
FITTED: list[type[FittedMethod]] = [VladEncoder, FisherEncoder, MixtureEncoder]
"""Methods that are fitted on tiles of many slides first, and published into a store."""
ATTENTION = "attention"
"""Name of the method whose networks were trained on labels, as a predictor's."""


def find_method(name: str) -> type[SlideMethod] | None:
    """Find a method that needs no fit by its name; None if there is none."""
    return next((method for method in METHODS if method.name == name), None)


def find_fitted(name: str) -> type[FittedMethod]:
    """Find a method that is fitted by its name.

    Raises:
        ConfigError: None is called so.
    """
    found = next((method for method in FITTED if method.name == name), None)
    if found is None:
        names = [method.name for method in FITTED]
        near = did_you_mean(name, names)
        raise ConfigError(f"method {name!r} is unknown; choose {join_or(names)}{near}")
    return found
