"""The encoders that a run asks for, checked before anything slow starts. No torch."""

from collections import Counter
from pathlib import Path

from histo_ray.config import RunSettings, works_here
from histo_ray.encoders.base import EncoderSpec, check_contract
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.remote_code import trust_code
from histo_ray.errors import ConfigError


def resolve_encoders(config: RunSettings) -> list[EncoderSpec]:
    """The encoders asked for; checks names and tile contracts before anything is started.

    Raises:
        ConfigError: Unknown, two under one name, or made for other tiles.
    """
    specs = trust_code(
        [resolve(request, config.encoder_table, config.store) for request in config.encoder],
        config.trust_remote_code,
    )
    for name, times in Counter(spec.name for spec in specs).items():
        if times > 1:
            raise ConfigError(
                f"encoder {name}: {times} requests share this name; give one another, as in "
                f"'{specs[-1].request}{'&' if '?' in specs[-1].request else '?'}name={name}-b'"
            )
    for spec in specs:
        check_contract(spec, config.mpp, config.tile_px, config.allow_contract_break, config.stain)
        if works_here(config.address) and spec.file and not Path(spec.file).expanduser().is_file():
            raise ConfigError(
                f"encoder {spec.name!r}: there is no weights file {spec.file}; check the path"
            )
    return specs
