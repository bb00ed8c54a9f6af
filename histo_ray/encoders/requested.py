"""The encoders that a run asks for, checked before anything slow starts. No torch."""

from collections import Counter
from pathlib import Path

from histo_ray.config import RunSettings, works_here
from histo_ray.encoders.base import EncoderSpec, check_contract
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.remote_code import trust_code
from histo_ray.encoders.tile_groups import group_encoders
from histo_ray.encoders.tile_request import split_tiles
from histo_ray.errors import ConfigError


def resolve_encoders(config: RunSettings) -> list[EncoderSpec]:
    """The encoders asked for, in that order; checks names and tile contracts before any start.

    One that is asked for with several tiles is there as often.

    Raises:
        ConfigError: Unknown, two under one name, or made for other tiles.
    """
    requests = [split_tiles(text).encoder for text in config.encoder]
    names = list(dict.fromkeys(requests))
    resolved = trust_code(
        [resolve(text, config.encoder_table, config.store) for text in names],
        config.trust_remote_code,
    )
    by_request = dict(zip(names, resolved, strict=True))
    specs = [by_request[text] for text in requests]
    for name, times in Counter(spec.name for spec in by_request.values()).items():
        if times > 1:
            raise ConfigError(
                f"encoder {name}: {times} requests share this name; give one another, as in "
                f"'{specs[-1].request}{'&' if '?' in specs[-1].request else '?'}name={name}-b'"
            )
    for group in group_encoders(config, specs):
        s = group.settings
        for spec in group.specs:
            check_contract(spec, s.mpp, s.tile_px, s.allow_contract_break, s.stain)
    for spec in specs:
        if works_here(config.address) and spec.file and not Path(spec.file).expanduser().is_file():
            raise ConfigError(
                f"encoder {spec.name!r}: there is no weights file {spec.file}; check the path"
            )
    return specs
