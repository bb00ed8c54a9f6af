"""Pooling `slide:NAME`: vectors of slides by a slide encoder; of a patient the mean of them."""

from typing import Self

from histo_ray.errors import ConfigError
from histo_ray.pooling.base import GroupTiles, Pooled, PoolingMethod

PREFIX = "slide:"


class SlideEncoderPooling(PoolingMethod):
    """Vectors that a slide encoder makes, as a stage of its own: see `pooling.slide_encoders`."""

    usage = f"{PREFIX}NAME"
    needs_all_tiles = True

    def __init__(self, slide_encoder: str) -> None:
        self.slide_encoder = slide_encoder
        """As a store calls it, or as it is asked for."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `slide:NAME`; NAME may be a plugin, `module:object`."""
        name = text.removeprefix(PREFIX)
        return cls(name) if text.startswith(PREFIX) and name else None

    @property
    def name(self) -> str:
        """`slide:` and the name."""
        return PREFIX + self.slide_encoder

    def pool(self, tiles: GroupTiles) -> Pooled:
        """Refuse: its vectors are made a slide at a time, by `pooling.slide_encoders`.

        Raises:
            ConfigError: Always; only heat maps ask.
        """
        raise ConfigError(
            f"pooling {self.name}: a slide encoder does not say what a single tile adds, so there "
            "is no heat map of it; take --pooling mean for one"
        )
