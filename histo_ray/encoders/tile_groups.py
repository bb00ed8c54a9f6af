"""Encoders of one run by the tiles that they see: each group has a tiling of its own. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from histo_ray.config import ExtractConfig, RunSettings
from histo_ray.encoders.base import EncoderSpec, check_contract
from histo_ray.encoders.stored_name import stored_name
from histo_ray.encoders.tile_request import KEYS, split_tiles
from histo_ray.errors import ConfigError


@dataclass(frozen=True)
class EncoderGroup:
    """Encoders whose tiles are the same."""

    settings: RunSettings
    """Settings of a run of these encoders alone."""
    specs: tuple[EncoderSpec, ...]

    @property
    def tiling(self) -> str:
        """Fingerprint of its tiling."""
        own = self.settings
        return (own.tiling if isinstance(own, ExtractConfig) else own).fingerprint()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its encoders in the store."""
        return tuple(stored_name(spec.name, self.settings.dtype) for spec in self.specs)

    @property
    def broken(self) -> dict[str, str]:
        """What its tiles breach of each encoder's contract, by name; empty texts where nothing."""
        s = self.settings
        return {
            name: check_contract(spec, s.mpp, s.tile_px, s.allow_contract_break, s.stain)
            for name, spec in zip(self.names, self.specs, strict=True)
        }


def group_encoders(config: RunSettings, specs: Sequence[EncoderSpec]) -> tuple[EncoderGroup, ...]:
    """Group the encoders of a run by their tiles, in the order asked for.

    Args:
        config: The run.
        specs: The specs of `config.encoder`, in that order.

    Raises:
        ConfigError: An encoder twice with the same tiles, or tiles asked for of a tile set.
    """
    if not states_tiles(config):
        return (EncoderGroup(config, tuple(specs)),)
    if not isinstance(config, ExtractConfig):
        asked = next(text for text in config.encoder if split_tiles(text).settings)
        raise ConfigError(
            f"encoder {asked!r}: the tiles of a labelled set are encoded as they are given; leave "
            "out what follows the @"
        )
    members: dict[str, list[tuple[str, EncoderSpec]]] = {}
    settings: dict[str, ExtractConfig] = {}
    for text, spec in zip(config.encoder, specs, strict=True):
        own = _settle_tiles(config, text, spec)
        key = own.tiling.fingerprint()
        settings.setdefault(key, own)
        if any(spec.name == other.name for _, other in members.get(key, ())):
            raise ConfigError(
                f"encoder {spec.name}: it is asked for twice with tiles of {own.tile_px} px at "
                f"{own.mpp:g} mpp; name it once"
            )
        members.setdefault(key, []).append((split_tiles(text).encoder, spec))
    return tuple(
        EncoderGroup(
            settings[key].model_copy(update={"encoder": tuple(text for text, _ in of_tiling)}),
            tuple(spec for _, spec in of_tiling),
        )
        for key, of_tiling in members.items()
    )


def name_unused(config: ExtractConfig) -> tuple[str, ...]:
    """Say which settings of tiles were given for nothing: every request has its own.

    With `native` tiles a value chooses among those of a contract.
    """
    if config.tiles == "native":
        return ()
    asked = [split_tiles(text).settings for text in config.encoder]
    return tuple(
        f"--{name.replace('_', '-')} {getattr(config, name)} is not used: every encoder states its "
        f"own {key} after the @"
        for key, name in KEYS.items()
        if name in config.model_fields_set and all(name in own for own in asked)
    )


def states_tiles(config: RunSettings) -> bool:
    """Whether encoders may have tiles of their own."""
    native = isinstance(config, ExtractConfig) and config.tiles == "native"
    return native or any(split_tiles(text).settings for text in config.encoder)


def _settle_tiles(config: ExtractConfig, text: str, spec: EncoderSpec) -> ExtractConfig:
    """Settings of a run of one encoder alone: its request's tiles, its contract's, the run's."""
    update: dict[str, object] = {"tiles": "given"}
    if config.tiles == "native":
        update["tile_px"] = _nearest(spec.tile_px, config.tile_px)
        update["mpp"] = _nearest(spec.mpp, config.mpp)
        update["stain"] = spec.stain or config.stain
    return config.model_copy(update=update | split_tiles(text).settings)


def _nearest(made_for: float | tuple[float, ...] | None, asked: float) -> float:
    """What of a contract is nearest to what the run asks for; that itself without a contract."""
    if made_for is None:
        return asked
    several = made_for if isinstance(made_for, tuple) else (made_for,)
    return min(several, key=lambda value: abs(math.log(value / asked)))
