"""Slide encoder `quantiles`: 10, 50 and 90 % of each column, as the pooling of that name."""

from histo_ray.pooling.quantiles import pool_quantiles
from histo_ray.pooling.slide_encoders.base import SlideMethod
from histo_ray.store.half_floats import Float32s


class QuantilesEncoder(SlideMethod):
    """Quantiles of each column, side by side."""

    name = "quantiles"
    published_as = "sample quantiles of type 7 (Hyndman and Fan 1996)"
    about = "10, 50 and 90 % quantiles of each column, side by side"

    def encode(self, vectors: Float32s) -> Float32s:
        """All columns' first quantile, then their second and third, (3 D,)."""
        return pool_quantiles([vectors])
