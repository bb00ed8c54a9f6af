"""The registry of overlays: what can be laid over a slide, by name."""

from collections.abc import Sequence
from threading import Lock

from histo_ray.errors import ConfigError
from histo_ray.view.overlay_sources import ClassHeadSource, ColumnSource, ComponentSource
from histo_ray.view.predictor_sources import PredictorSource
from histo_ray.view.score_sources import PredictionSource, ScoreFileSource
from histo_ray.view.tile_numbers import OverlaySource, TileNumbers
from histo_ray.view.viewed_store import ViewedSlide, ViewedStore


class Overlays:
    """All sources of overlays of a store."""

    def __init__(self, store: ViewedStore) -> None:
        """Open the sources.

        Raises:
            ConfigError: Files of scores or predictors that were asked for are not there.
        """
        self._sources: Sequence[OverlaySource] = (
            ColumnSource(),
            ScoreFileSource(store.config.scores),
            PredictionSource(store.root),
            PredictorSource(store),
            ClassHeadSource(store.root),
            ComponentSource(),
        )
        self._lock = Lock()

    def names(self, slide: ViewedSlide) -> list[str]:
        """What there is of a slide, in the order that it is offered."""
        found = dict.fromkeys(name for source in self._sources for name in source.names(slide))
        return list(found)

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Numbers of a slide's tiles; one overlay is computed at a time.

        Raises:
            ConfigError: The slide has no such overlay.
            StoreError: It cannot be read.
        """
        with self._lock:
            for source in self._sources:
                if name in source.names(slide):
                    return source.read(slide, name)
        raise ConfigError(f"slide {slide.slide_id}: it has no overlay {name!r}")
