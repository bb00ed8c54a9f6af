"""Slide encoder `mean`: the mean of all tiles, as the pooling of that name."""

from histo_ray.pooling.moments import measure_block
from histo_ray.pooling.slide_encoders.base import SlideMethod
from histo_ray.store.half_floats import Float32s


class MeanEncoder(SlideMethod):
    """Mean of each column."""

    name = "mean"
    published_as = "mean pooling of instances"
    about = "mean of all tiles: the baseline that a slide encoder has to beat"

    def encode(self, vectors: Float32s) -> Float32s:
        """Mean of each column, (D,)."""
        found: Float32s = measure_block(vectors).mean.astype("float32")
        return found
