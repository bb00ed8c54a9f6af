"""The registry of exchange formats."""

from histo_ray.errors import ConfigError
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.exchange.geojson import GeoJson
from histo_ray.store.layout import FORMS

EXCHANGE_FORMATS: list[ExchangeFormat] = [GeoJson()]
"""A new format is a file in this folder and a line here."""


def find_exchange_format(name: str) -> ExchangeFormat:
    """Find an exchange format by its name.

    Raises:
        ConfigError: There is none; says which there are.
    """
    found = next((one for one in EXCHANGE_FORMATS if one.name == name), None)
    if found is not None:
        return found
    known = ", ".join(one.name for one in EXCHANGE_FORMATS)
    if name in FORMS:
        raise ConfigError(
            f"--to {name}: store export writes formats of other tools ({known}); to give the "
            f"store's own partitions another form, run histo-ray store convert --to {name}"
        )
    raise ConfigError(f"--to {name}: no such exchange format; choose one of {known}")
