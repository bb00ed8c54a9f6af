"""Whole-slide images in, queryable per-model feature stores out, on Ray.

    import histo_ray as hr
    run = hr.extract("slides.csv", "STORE", encoder=["imgnet2048"], mpp=0.5, tile_px=224)
    store = hr.open_store("STORE")
    slide = hr.open_slide("slide.svs")

The names below are imported when first used, so `import histo_ray` is quick.
"""

import importlib
import types
from typing import TYPE_CHECKING, Any

from histo_ray._version import __version__
from histo_ray.errors import ConfigError, HistoRayError, SlideError, StoreError

if TYPE_CHECKING:
    from histo_ray.api import evaluate, fit
    from histo_ray.api.encoder import load_encoder
    from histo_ray.api.extract import extract
    from histo_ray.api.feature_store import open_store
    from histo_ray.api.finetune import finetune
    from histo_ray.api.heatmap import heatmap
    from histo_ray.api.import_features import import_features
    from histo_ray.api.measure import measure
    from histo_ray.api.plan import plan
    from histo_ray.api.predict import predict
    from histo_ray.api.predictor import load_predictor
    from histo_ray.api.report import report
    from histo_ray.api.show_where import show_where
    from histo_ray.api.slide_encoders import encode_slides, fit_slide_encoder
    from histo_ray.api.view import view
    from histo_ray.slides.reader import open_slide
    from histo_ray.tiles.pixels import read_tiles

__all__ = [
    "ConfigError",
    "HistoRayError",
    "SlideError",
    "StoreError",
    "__version__",
    "encode_slides",
    "evaluate",
    "extract",
    "finetune",
    "fit",
    "fit_slide_encoder",
    "heatmap",
    "import_features",
    "load_encoder",
    "load_predictor",
    "measure",
    "open_slide",
    "open_store",
    "plan",
    "predict",
    "read_tiles",
    "report",
    "show_where",
    "view",
]

_HOMES = {
    "encode_slides": "histo_ray.api.slide_encoders",
    "fit_slide_encoder": "histo_ray.api.slide_encoders",
    "heatmap": "histo_ray.api.heatmap",
    "import_features": "histo_ray.api.import_features",
    "load_encoder": "histo_ray.api.encoder",
    "load_predictor": "histo_ray.api.predictor",
    "measure": "histo_ray.api.measure",
    "open_slide": "histo_ray.slides.reader",
    "open_store": "histo_ray.api.feature_store",
    "plan": "histo_ray.api.plan",
    "read_tiles": "histo_ray.tiles.pixels",
    "show_where": "histo_ray.api.show_where",
}
_MODULES = {"fit": "histo_ray.api.fit"}
"""Modules whose functions are part of the Python API, as in `hr.fit.mutation`."""
_VERBS = ("extract", "finetune", "predict", "report", "view")
"""Rooms of the package that are also functions of the Python API."""


class _VerbRoom(types.ModuleType):
    """A room that can be called as the function of its name in the Python API.

    `hr.extract(...)` extracts, and `histo_ray.extract.slide` stays the module that it is, in
    whatever order they are imported.
    """

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return self._function()(*args, **settings)

    @property
    def __signature__(self) -> Any:
        """Signature of the function, for `help` and notebooks."""
        return importlib.import_module("inspect").signature(self._function())

    def _function(self) -> Any:
        verb = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(f"histo_ray.api.{verb}"), verb)


class _TaskRoom(types.ModuleType):
    """The room of evaluations, whose tasks are functions of the Python API.

    `hr.evaluate.mutation(...)` evaluates, and `histo_ray.evaluate.engine` stays the module that it
    is, in whatever order they are imported.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module("histo_ray.api.evaluate"), name)


importlib.import_module(f"{__name__}.evaluate").__class__ = _TaskRoom
for _verb in _VERBS:
    importlib.import_module(f"{__name__}.{_verb}").__class__ = _VerbRoom


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
