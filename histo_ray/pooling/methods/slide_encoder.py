"""Pooling `slide:NAME`: vectors of slides by a slide encoder; of a patient the mean of them."""

from typing import Self

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
        """Refuse: its vectors are made a slide at a time, and kept.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self.name} is not pooled from tiles here: see pool_slide_vectors")
