"""The registries of exchange formats: what slides are exported to, and imported from."""

from histo_ray.errors import ConfigError
from histo_ray.store.exchange.anndata_file import AnnDataFiles
from histo_ray.store.exchange.atlaspatch import AtlasPatch
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.exchange.clam import Clam, ClamTensors
from histo_ray.store.exchange.csv_file import CsvFiles
from histo_ray.store.exchange.geojson import GeoJson
from histo_ray.store.exchange.lazyslide import LazySlide
from histo_ray.store.exchange.slide2vec import Slide2Vec
from histo_ray.store.exchange.source import ImportLayout
from histo_ray.store.exchange.stamp import Stamp
from histo_ray.store.exchange.trident import Trident
from histo_ray.store.layout import FORMS
from histo_ray.text import did_you_mean

EXCHANGE_FORMATS: list[ExchangeFormat] = [
    GeoJson(),
    Trident(),
    Clam(),
    ClamTensors(),
    Stamp(),
    AnnDataFiles(),
    CsvFiles(),
]
"""A new format is a file in this folder and a line here. Formats of one name are written together,
as a tool that wants two files a slide needs it."""

IMPORT_LAYOUTS: list[ImportLayout] = [
    Trident(),
    Clam(),
    Stamp(),
    AtlasPatch(),
    Slide2Vec(),
    LazySlide(),
    AnnDataFiles(),
]
"""A new layout is a file in this folder and a line here."""


def find_exchange_format(name: str) -> list[ExchangeFormat]:
    """Find an exchange format by its name; several where the tool wants several files a slide.

    Raises:
        ConfigError: There is none; says which there are.
    """
    found = [one for one in EXCHANGE_FORMATS if one.name == name]
    if found:
        return found
    names = list(dict.fromkeys(one.name for one in EXCHANGE_FORMATS))
    known = ", ".join(names)
    if name in FORMS:
        raise ConfigError(
            f"--to {name}: store export writes formats of other tools ({known}); to give the "
            f"store's own partitions another form, run histo-ray store convert --to {name}"
        )
    near = did_you_mean(name, names)
    raise ConfigError(f"--to {name}: no such exchange format; choose one of {known}{near}")


def find_import_layout(name: str) -> ImportLayout:
    """Find a layout of features by its name.

    Raises:
        ConfigError: There is none; says which there are.
    """
    found = next((one for one in IMPORT_LAYOUTS if one.name == name), None)
    if found is not None:
        return found
    names = [one.name for one in IMPORT_LAYOUTS]
    near = did_you_mean(name, names)
    raise ConfigError(f"--from {name}: no such layout; choose one of {', '.join(names)}{near}")
