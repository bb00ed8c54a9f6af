"""Whole-slide images in, queryable per-model feature stores out, on Ray.

    import histo_ray as hr
    store = hr.open_store("STORE")
    slide = hr.open_slide("slide.svs")

The names below are imported when first used, so `import histo_ray` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from histo_ray._version import __version__
from histo_ray.errors import ConfigError, HistoRayError, SlideError, StoreError

if TYPE_CHECKING:
    from histo_ray.pooling.feature_store import open_store
    from histo_ray.slides.reader import open_slide
    from histo_ray.tiles.pixels import read_tiles

__all__ = [
    "ConfigError",
    "HistoRayError",
    "SlideError",
    "StoreError",
    "__version__",
    "open_slide",
    "open_store",
    "read_tiles",
]

_HOMES = {
    "open_slide": "histo_ray.slides.reader",
    "open_store": "histo_ray.pooling.feature_store",
    "read_tiles": "histo_ray.tiles.pixels",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
