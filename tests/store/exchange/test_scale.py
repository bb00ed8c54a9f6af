"""Scale and place of imported tiles, by what is stated: pure."""

import numpy as np
import pytest

from histo_ray.errors import SlideError
from histo_ray.store.exchange import atlaspatch, clam, stamp, trident
from histo_ray.store.exchange.import_slide import describe_tiling
from histo_ray.store.exchange.scale import (
    KnownScale,
    StatedScale,
    count_repeated,
    place_tiles,
    settle_scale,
)
from histo_ray.store.exchange.source import TileGeometry

OBLONG = KnownScale((0.25, 0.4), "file", (1200, 700))
"""Never square: swapped axes must fail."""


def settle(geometry: TileGeometry, known: KnownScale | None = None, **stated: float) -> object:
    scale = settle_scale("S", geometry, known or KnownScale(), StatedScale(**stated))  # type: ignore[arg-type]
    return scale.mpp, scale.mpp_source, scale.side, scale.tile_px, scale.tile_mpp


@pytest.mark.parametrize(
    ("geometry", "stated", "expected"),
    [
        # level-0 size and a flag
        ({"tile_px": 224, "side_px": (448, 448)}, {"slide_mpp": 0.25}, (0.25, "flag", 448, 0)),
        # mpp of tiles by flag, and their size in level-0 px
        ({"tile_px": 224, "side_px": (448, 448)}, {"mpp": 0.5}, (0.25, "flag", 448, 0.5)),
        # the source's own word goes before flags
        (
            {"tile_px": 224, "side_px": (448, 448), "slide_mpp": 0.3},
            {"slide_mpp": 0.25},
            (0.3, "import", 448, 0),
        ),
        # an implausible one is passed over
        (
            {"tile_px": 224, "side_px": (448, 448), "slide_mpp": 250.0},
            {"slide_mpp": 0.25},
            (0.25, "flag", 448, 0),
        ),
        (
            {"side_um": 112.0, "tile_px": 224, "tile_mpp": 0.5},
            {"slide_mpp": 0.2},
            (0.2, "flag", 560, 0.5),
        ),
        ({"tile_px": 224}, {"mpp": 0.5, "slide_mpp": 0.2}, (0.2, "flag", 560, 0.5)),
        ({"tile_px": 224, "side_px": (448, 448), "magnification": 20}, {}, (0, "unknown", 448, 0)),
        ({}, {"side_px": 448}, (0, "unknown", 448, 0)),
    ],
)  # fmt: skip
def test_mpp_and_side_come_from_the_first_that_states_them(
    geometry: dict[str, object], stated: dict[str, float], expected: tuple[object, ...]
) -> None:
    mpp, source, side, tile_mpp = expected
    found = settle(TileGeometry(**geometry), **stated)  # type: ignore[arg-type]
    assert isinstance(found, tuple)
    assert found[0] == pytest.approx((mpp, mpp))
    assert found[1] == source
    assert found[2] == pytest.approx((side, side))
    assert found[4] == tile_mpp


def test_axes_of_an_oblong_px_are_kept_apart() -> None:
    geometry = TileGeometry(side_um=100.0, tile_px=200, tile_mpp=0.5)
    scale = settle_scale("S", geometry, OBLONG, StatedScale())
    assert scale.side == (400.0, 250.0)
    assert scale.realised_mpp == (0.5, 0.5)
    corners = place_tiles("S", np.array([[100.1, 40.0], [0, 279.6]]), True, scale, (1200, 700))
    assert corners.tolist() == [[400, 100], [0, 699]]


@pytest.mark.parametrize(
    ("geometry", "known", "stated", "message"),
    [
        ({"size_px": (700, 1200), "side_px": (9, 9)}, OBLONG, {}, "is 700 x 1200 px, and its file"),
        ({"slide_mpp": 0.5, "side_px": (9, 9)}, OBLONG, {}, "0.5 mpp, the slide's file 0.25"),
        ({"tile_mpp": 0.5, "side_px": (9, 9)}, None, {"mpp": 0.25}, "leave --mpp out"),
        ({"tile_px": 224, "side_px": (9, 9)}, None, {"tile_px": 256}, "leave --tile-px out"),
        (
            {"tile_px": 224, "side_px": (448, 448)},
            None,
            {"mpp": 0.25, "slide_mpp": 0.25},
            "are at 0.5 mpp, not at the 0.25 that is stated",
        ),
        ({"tile_px": 224}, OBLONG, {}, "does not state how large its tiles are"),
        ({"side_um": 112.0}, None, {}, "in microns, and level-0 px need the slide's mpp"),
    ],
)
def test_what_cannot_be_true_is_refused(
    geometry: dict[str, object], known: KnownScale | None, stated: dict[str, float], message: str
) -> None:
    with pytest.raises(SlideError) as raised:
        settle(TileGeometry(**geometry), known, **stated)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_tiles_reach_the_far_edges_and_no_further() -> None:
    scale = settle_scale("S", TileGeometry(side_px=(9, 9)), KnownScale(), StatedScale())
    inside = np.array([[1199, 699], [0, 0]])
    assert place_tiles("S", inside, False, scale, (1200, 700)).tolist() == inside.tolist()
    for beyond in ([1200, 0], [0, 700]):
        with pytest.raises(SlideError, match="beyond the slide of 1200 x 700 px"):
            place_tiles("S", np.array([[0, 0], beyond]), False, scale, (1200, 700))
    assert place_tiles("S", np.array([[0, 2**31 - 1]]), False, scale, None).tolist()
    with pytest.raises(SlideError, match="which no slide has"):
        place_tiles("S", np.array([[0, 2**31]]), False, scale, None)


def test_tiles_at_one_place_are_counted() -> None:
    corners = np.array([[0, 1], [1, 0], [0, 1], [0, 1], [70_000, 5]], np.int32)
    assert count_repeated(corners) == 2
    assert count_repeated(corners[:0]) == 0
    assert count_repeated(np.array([[1, 0], [0, 65_536], [0, 1], [65_536, 0]], np.int32)) == 0


def test_attributes_of_each_tool_mean_what_the_tool_means() -> None:
    of_clam = clam.read_geometry(
        {"patch_size": 256, "patch_level": 1, "downsample": [4.0, 4.5], "level_dim": [9, 9]}
    )
    assert (of_clam.tile_px, of_clam.side_px, of_clam.level) == (256, (1024, 1152), 1)
    assert clam.read_geometry({"patch_size": 256, "patch_level": 0}).side_px == (256, 256)
    assert clam.read_geometry({"patch_size": 256, "patch_level": 2}).side_px is None
    of_trident = trident.read_geometry(
        {"patch_size": 512, "patch_size_level0": 1024, "overlap": 64, "target_magnification": 20,
         "level0_width": 30_000, "level0_height": 20_000}
    )  # fmt: skip
    assert of_trident == TileGeometry(
        512, (1024, 1024), None, None, None, (30_000, 20_000), 20, 448
    )
    older = stamp.read_geometry({"tile_size": 256.0, "unit": "um"})
    assert older is not None
    assert (older.side_um, older.tile_mpp) == (256, None)
    assert stamp.read_geometry({"tile_size": 224.0}) is None
    of_atlas = atlaspatch.read_geometry(
        {"patch_size": 256, "patch_size_level0": 512, "mpp": 0.25}, 2
    )
    assert (of_atlas.side_px, of_atlas.slide_mpp, of_atlas.level) == ((512, 512), 0.25, 2)


def test_a_tiling_is_named_by_its_source_alone() -> None:
    """Flags and the scale of the slide change receipts, not names: no slide is there twice."""
    geometry = TileGeometry(tile_px=224, side_px=(448, 448), magnification=20)
    names = set()
    for stated in (StatedScale(), StatedScale(slide_mpp=0.25), StatedScale(mpp=0.5)):
        scale = settle_scale("S", geometry, KnownScale(), stated)
        names.add(describe_tiling("trident", geometry, scale).fingerprint)
    assert len(names) == 1
    other = TileGeometry(tile_px=224, side_px=(896, 896), magnification=10)
    scale = settle_scale("S", other, KnownScale(), StatedScale())
    assert describe_tiling("trident", other, scale).fingerprint not in names
    assert describe_tiling("clam", geometry, scale).fingerprint not in names
