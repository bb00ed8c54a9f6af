"""Encoders by what they take and allow, or by name. Pure."""

import math
from collections.abc import Sequence

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.base import MPP_TOLERANCE
from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean


def select_encoders(
    specs: Sequence[EncoderSpec],
    *,
    mpp: float | None = None,
    licence: str | None = None,
    gated: bool | None = None,
) -> list[EncoderSpec]:
    """Select encoders by all filters that are given.

    Args:
        specs: Encoders to choose from.
        mpp: Microns per pixel of tiles; kept are encoders made for it, and those that take any.
        licence: Text that the licence must hold, in any case.
        gated: Whether a token and an accepted licence are needed.

    Returns:
        Those that pass, in the order given.
    """
    return [
        spec
        for spec in specs
        if (mpp is None or _takes(spec, mpp))
        and (licence is None or licence.lower() in spec.licence.lower())
        and (gated is None or spec.gated == gated)
    ]


def find_encoder(name: str, specs: Sequence[EncoderSpec]) -> EncoderSpec:
    """Find an encoder by name.

    Raises:
        ConfigError: None is called so.
    """
    found = next((spec for spec in specs if spec.name == name), None)
    if found is None:
        near = did_you_mean(name, [spec.name for spec in specs])
        raise ConfigError(f"no encoder is called {name!r}{near}; `histo-ray encoders` lists them")
    return found


def _takes(spec: EncoderSpec, mpp: float) -> bool:
    if spec.mpp is None:
        return True
    made_for = spec.mpp if isinstance(spec.mpp, tuple) else (spec.mpp,)
    return any(math.isclose(mpp, one, rel_tol=MPP_TOLERANCE) for one in made_for)
