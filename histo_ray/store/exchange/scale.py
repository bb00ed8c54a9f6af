"""Scale and place of imported tiles: level-0 px and mpp by what is stated, never guessed. Pure."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.slides.resolution import is_plausible
from histo_ray.store.exchange.source import Coords, TileGeometry
from histo_ray.types import MppSource, Size

TOLERANCE = 0.02
"""Relative difference up to which two statements of one resolution agree."""
MOST_PX = 2**31 - 1
_Pair = tuple[float, float]


@dataclass(frozen=True)
class StatedScale:
    """What the caller states, for sources that do not; None where nothing."""

    slide_mpp: float | None = None
    """Microns per px of level 0 (`--slide-mpp`)."""
    mpp: float | None = None
    """Microns per px of the tiles (`--mpp`)."""
    tile_px: int | None = None
    """Edge of a tile at that resolution (`--tile-px`)."""
    side_px: float | None = None
    """Edge of a tile in level-0 px (`--side-px`)."""


@dataclass(frozen=True)
class KnownScale:
    """What manifest and slide file say of level 0."""

    mpp: _Pair | None = None
    """(x, y) microns per px; None where unknown."""
    source: MppSource = "unknown"
    size_px: Size | None = None
    """(width, height); None where the slide was not opened."""


@dataclass(frozen=True)
class Scale:
    """Scale of a slide's tiles; 0 where unknown."""

    mpp: _Pair
    """(x, y) microns per px of level 0."""
    mpp_source: MppSource
    side: _Pair
    """(width, height) of a tile in level-0 px."""
    tile_px: int
    tile_mpp: float
    """Microns per px that the tiles were asked for at, or else, along x, what they are at."""

    @property
    def realised_mpp(self) -> _Pair:
        """(x, y) microns per px of what the encoder saw."""
        if not self.tile_px:
            return 0.0, 0.0
        return tuple(m * s / self.tile_px for m, s in zip(self.mpp, self.side, strict=True))  # type: ignore[return-value]


def settle_scale(
    slide_id: str, geometry: TileGeometry, known: KnownScale, stated: StatedScale
) -> Scale:
    """Settle the scale of a slide's tiles.

    mpp of level 0 comes from the first that has it: the manifest, the slide's file, the source's
    own statement, the source's mpp of tiles and their size in level-0 px, `--slide-mpp`, and
    `--mpp` with that size. A magnification gives none.

    Args:
        slide_id: For messages.
        geometry: What the source states.
        known: What manifest and slide say.
        stated: What the caller says.

    Raises:
        SlideError: Two statements contradict each other, the size of a tile is unknown, or it is in
            microns and mpp is unknown.
    """
    tile_px = geometry.tile_px or stated.tile_px or 0
    tile_mpp = geometry.tile_mpp or stated.mpp or 0.0
    _check_agreement(slide_id, geometry, known, stated)
    ratio = geometry.side_px[0] / tile_px if geometry.side_px and tile_px else None
    mpp, source = _choose_mpp(geometry, known, stated, ratio)
    if geometry.side_um and not mpp[0]:
        raise SlideError(
            slide_id,
            "its tiles and coords are in microns, and level-0 px need the slide's mpp: give it in "
            "the manifest (column mpp, or path of the slide), or with --slide-mpp",
        )
    side = _choose_side(geometry, stated, mpp, tile_px * tile_mpp)
    if side is None:
        raise SlideError(
            slide_id,
            "the source does not state how large its tiles are in level-0 px; give --side-px, or "
            "--tile-px and --mpp beside the slides' mpp (CLAM: --coords names the folder with "
            "patches/, which has it)",
        )
    scale = Scale(mpp, source, side, tile_px, tile_mpp)
    realised = scale.realised_mpp[0]
    if not tile_mpp:  # nobody states it, and it follows
        return replace(scale, tile_mpp=realised)
    if realised and not _agree(realised, tile_mpp, 5 * TOLERANCE):
        raise SlideError(
            slide_id,
            f"tiles of {tile_px} px that are {side[0]:g} level-0 px wide on a slide of "
            f"{mpp[0]:g} mpp are at {realised:.4g} mpp, not at the {tile_mpp:g} that is stated; "
            "correct --mpp, --slide-mpp or the manifest",
        )
    return scale


def place_tiles(
    slide_id: str, coords: Coords, in_microns: bool, scale: Scale, size: Size | None
) -> npt.NDArray[np.int32]:
    """Corners of tiles in level-0 px, (N, 2) int32, rounded to the nearest px.

    Args:
        slide_id: For messages.
        coords: (N, 2) as the source has them.
        in_microns: Whether these are microns; mpp is known then.
        scale: Settled.
        size: (width, height) of level 0, where known.

    Raises:
        SlideError: Corners that no slide has.
    """
    if not len(coords):
        return np.zeros((0, 2), np.int32)
    places = np.asarray(coords, np.float64) / (scale.mpp if in_microns else (1.0, 1.0))
    if not np.isfinite(places).all():
        raise SlideError(slide_id, "coords are not all finite numbers; extract the slide again")
    corners = np.rint(places)
    if corners.min() < 0 or corners.max() > MOST_PX:
        raise SlideError(
            slide_id,
            f"coords reach from {corners.min():.0f} to {corners.max():.0f} px, which no slide "
            "has; extract the slide again",
        )
    if size is not None and (corners >= size).any():
        raise SlideError(
            slide_id,
            f"coords reach to {tuple(corners.max(0).astype(int).tolist())}, beyond the slide of "
            f"{size[0]} x {size[1]} px: they are of another slide or in another unit",
        )
    return corners.astype(np.int32)


def count_repeated(corners: npt.NDArray[np.int32]) -> int:
    """Number of tiles that lie where an earlier one does."""
    packed = corners[:, 0].astype(np.int64) << 32 | corners[:, 1].astype(np.int64)
    return len(packed) - len(np.unique(packed))


def _choose_mpp(
    geometry: TileGeometry, known: KnownScale, stated: StatedScale, ratio: float | None
) -> tuple[_Pair, MppSource]:
    if known.mpp is not None:
        return known.mpp, known.source
    found: list[tuple[float | None, MppSource]] = [
        (geometry.slide_mpp, "import"),
        (geometry.tile_mpp / ratio if geometry.tile_mpp and ratio else None, "import"),
        (stated.slide_mpp, "flag"),
        (stated.mpp / ratio if stated.mpp and ratio else None, "flag"),
    ]
    for mpp, source in found:
        if mpp is not None and is_plausible(mpp):
            return (mpp, mpp), source
    return (0.0, 0.0), "unknown"


def _choose_side(
    geometry: TileGeometry, stated: StatedScale, mpp: _Pair, tile_um: float
) -> _Pair | None:
    if geometry.side_px is not None:
        return geometry.side_px
    edge = geometry.side_um or tile_um
    if edge and mpp[0]:
        return edge / mpp[0], edge / mpp[1]
    return (stated.side_px, stated.side_px) if stated.side_px else None


def _check_agreement(
    slide_id: str, geometry: TileGeometry, known: KnownScale, stated: StatedScale
) -> None:
    """Refuse what cannot both be true.

    Raises:
        SlideError: Another slide, or a flag that contradicts the source.
    """
    if known.size_px and geometry.size_px and known.size_px != geometry.size_px:
        raise SlideError(
            slide_id,
            f"the source says that the slide is {geometry.size_px[0]} x {geometry.size_px[1]} px, "
            f"and its file is {known.size_px[0]} x {known.size_px[1]}: correct the manifest's path",
        )
    pairs = (
        ("mpp of the tiles", geometry.tile_mpp, stated.mpp, "--mpp"),
        ("edge of a tile in px", geometry.tile_px, stated.tile_px, "--tile-px"),
    )
    for what, found, given, flag in pairs:
        if found and given and not _agree(found, given, TOLERANCE):
            raise SlideError(
                slide_id, f"{what}: {found:g} by the source, {flag} {given:g}; leave {flag} out"
            )
    own = known.mpp[0] if known.mpp and known.source != "manifest" else None
    if own and geometry.slide_mpp and not _agree(own, geometry.slide_mpp, TOLERANCE):
        raise SlideError(
            slide_id,
            f"the source says {geometry.slide_mpp:g} mpp, the slide's file {own:g}; give the "
            "right one in the manifest's column mpp",
        )


def _agree(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * max(abs(one), abs(other))
