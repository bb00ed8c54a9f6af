"""What a slide encoder is given, and whether it was made for it: contracts against receipts."""

import math

import numpy as np

from histo_ray.config import digest
from histo_ray.encoders.base import MPP_TOLERANCE, describe_choice
from histo_ray.encoders.slide_protocol import SlideSpec, TileBag
from histo_ray.errors import ConfigError
from histo_ray.store.catalog import FORMATS
from histo_ray.store.half_floats import widen
from histo_ray.store.layout import folder_path
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import CountedPartition, check_count
from histo_ray.types import PartitionKey, Receipt
from histo_ray.types.slide_vector_receipt import TileInput

BREAK = "--allow-contract-break"


def describe_input(key: PartitionKey, receipt: Receipt) -> TileInput:
    """Describe a partition as receipts of slide vectors name it."""
    return TileInput(
        path=f"{folder_path(key.encoder, key.tiling)}/{key.slide_id}",
        encoder=key.encoder,
        encoder_weights_sha256=receipt.encoder.weights_sha256,
        tiling=key.tiling,
        tile_count=receipt.tile_count,
        vectors_sha256=receipt.vectors_sha256,
        columns_sha256=receipt.columns_sha256,
    )


def digest_input(found: TileInput) -> str:
    """Digest what decides a slide's vector, but the slide encoder."""
    return digest([found.tile_count, found.vectors_sha256, found.columns_sha256])


def read_bag(root: Location, partition: CountedPartition, receipt: Receipt) -> TileBag:
    """Read all tiles of a slide.

    Raises:
        StoreError: The partition cannot be read, or was replaced.
    """
    coords, vectors = FORMATS[partition.form].read_bag(partition.locate(root))[:2]
    check_count(root, partition, len(vectors))
    wide = np.ascontiguousarray(widen(vectors))
    places = np.ascontiguousarray(coords, np.int32)
    wide.flags.writeable = places.flags.writeable = False
    return TileBag(wide, places, receipt.tiling.side, read_tile_px(receipt), read_mpp(receipt))


def read_tile_px(receipt: Receipt) -> int | None:
    """Edge of a tile, in px; None where nobody stated it."""
    found = receipt.tiling.settings.get("tile_px")
    return found if isinstance(found, int) and found > 0 else None


def read_mpp(receipt: Receipt) -> float | None:
    """Microns per pixel of a tile; None where nobody stated them."""
    found = receipt.tiling.settings.get("mpp")
    return float(found) if isinstance(found, int | float) and found > 0 else None


def check_input(name: str, spec: SlideSpec, receipt: Receipt, allow: bool) -> str:
    """Hold a partition against what a slide encoder was made for.

    Args:
        name: Of the slide encoder.
        spec: Its contract.
        receipt: Of a partition of the store.
        allow: Accept other tile encoders, sizes and mpp; what is breached is then returned.

    Returns:
        What is breached, as "mpp 1 instead of 0.5"; empty if nothing is.

    Raises:
        ConfigError: The contract is breached; vectors of another length are never accepted.
    """
    facts = receipt.encoder
    if spec.tile_dim is not None and facts.dim != spec.tile_dim:
        raise ConfigError(
            f"slide encoder {name}: reads vectors of {spec.tile_dim} numbers, and those of encoder "
            f"{facts.name} have {facts.dim}; it was made for {_made_for(spec)}"
        )
    broken = _list_breaches(spec, receipt)
    if broken and not allow:
        found = " and ".join(f"{what} {one}" for what, one, _ in broken)
        right = " and ".join(f"{what} {one}" for what, _, one in broken)
        raise ConfigError(
            f"slide encoder {name}: was made for {right}, not for {found} as the store has them; "
            f"extract these, or pass {BREAK}"
        )
    return "; ".join(f"{what} {found} instead of {right}" for what, found, right in broken)


def _list_breaches(spec: SlideSpec, receipt: Receipt) -> list[tuple[str, str, str]]:
    """What differs: what it is, what the store has, and what would be right."""
    facts, broken = receipt.encoder, []
    names = {facts.name, facts.request}
    if spec.tile_encoders and not names & set(spec.tile_encoders):
        broken.append(("tile encoder", facts.name, " or ".join(spec.tile_encoders)))
    if spec.tile_weights_sha256 not in (None, facts.weights_sha256):
        right = f"{spec.tile_weights_sha256}"[:12]
        broken.append(("weights", facts.weights_sha256[:12], right))
    px, mpp = read_tile_px(receipt), read_mpp(receipt)
    if px is not None and spec.tile_px is not None and px not in _all_of(spec.tile_px):
        broken.append(("tile_px", str(px), describe_choice(spec.tile_px)))
    if mpp is not None and not any(
        math.isclose(mpp, fit, rel_tol=MPP_TOLERANCE) for fit in _all_of(spec.mpp) or (mpp,)
    ):
        broken.append(("mpp", f"{mpp:g}", describe_choice(spec.mpp)))
    return broken


def _all_of(values: float | tuple[float, ...] | None) -> tuple[float, ...]:
    return () if values is None else values if isinstance(values, tuple) else (values,)


def _made_for(spec: SlideSpec) -> str:
    return " or ".join(spec.tile_encoders) or f"the weights {str(spec.tile_weights_sha256)[:12]}"
