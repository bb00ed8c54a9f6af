"""What a slide encoder of ours is: a published method as a pure function of a slide's tiles."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from histo_ray.settings import Settings
from histo_ray.store.half_floats import Float32s

Arrays: TypeAlias = dict[str, npt.NDArray[np.floating]]
Doubles: TypeAlias = npt.NDArray[np.float64]


class SlideSettings(Settings):
    """Settings of the methods of ours; each uses some."""

    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="of all that is drawn at random")
    prototypes: int = Field(
        default=16, ge=2, le=1024, description="prototypes or components of vlad, fisher, mixture"
    )
    components: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="principal components that tiles are reduced to before vlad, fisher, mixture",
    )
    tiles_per_slide: int = Field(
        default=256, ge=1, description="tiles drawn of each slide to fit on; all count alike"
    )


class SlideMethod(ABC):
    """A method that needs no fitting. Vectors of one slide in, one vector out; pure.

    A file of `methods/` and a line in the registry make a new one.
    """

    name: ClassVar[str]
    """How it is asked for, and how stores call it."""
    published_as: ClassVar[str]
    """The published method that it is."""
    about: ClassVar[str]
    """One line for lists."""

    @property
    def seed(self) -> int | None:
        """Seed of what is drawn at random; None: nothing is."""
        return None

    def list_arrays(self) -> Arrays:
        """Fitted arrays, by name; none where nothing is fitted."""
        return {}

    @abstractmethod
    def encode(self, vectors: Float32s) -> Float32s:
        """Encode one slide.

        Args:
            vectors: (N, D) of its tiles, N above 0, finite; their order has no meaning.

        Returns:
            (W,), the same W for every slide of D.
        """


class FittedMethod(SlideMethod):
    """A method with arrays that are fitted on the tiles of many slides, without labels."""

    @classmethod
    @abstractmethod
    def fit(cls, tiles: Float32s, settings: SlideSettings) -> Self:
        """Fit on the drawn tiles of all slides of a fit.

        Args:
            tiles: (M, D), finite; the same number of each slide where it has so many.
            settings: With the seed.

        Raises:
            ConfigError: Too few tiles for what is asked.
        """

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `list_arrays`.

        Raises:
            KeyError: One is missing.
            ValueError: One does not fit the others.
        """
