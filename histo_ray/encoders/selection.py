"""Encoders by what they take and allow, and by what they leave open. Pure."""

import math
from collections.abc import Sequence

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.base import MPP_TOLERANCE, check_contract
from histo_ray.encoders.tile_request import TileRequest


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


def breach_of(spec: EncoderSpec, asked: TileRequest) -> str:
    """What tiles that a request asks for breach of its encoder's contract; empty if nothing."""
    made_for = spec.tile_px[0] if isinstance(spec.tile_px, tuple) else spec.tile_px
    tile_px = asked.tile_px or made_for or 0  # 0: neither says anything
    return check_contract(spec, asked.mpp, tile_px, allow=True, stain=spec.stain or "none")


def is_open_to_timm(spec: EncoderSpec) -> bool:
    """Whether a spec leaves open what timm knows of its network, without a repository."""
    known = (spec.dim, spec.input_px, spec.mean, spec.std)
    return (
        spec.plugin is None
        and spec.library == "timm"
        and not spec.architecture.startswith("hf-hub:")
        and any(value is None for value in known)
    )


def _takes(spec: EncoderSpec, mpp: float) -> bool:
    if spec.mpp is None:
        return True
    made_for = spec.mpp if isinstance(spec.mpp, tuple) else (spec.mpp,)
    return any(math.isclose(mpp, one, rel_tol=MPP_TOLERANCE) for one in made_for)
