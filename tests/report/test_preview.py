import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histo_ray.config import TilingConfig
from histo_ray.report.charts.canvas import OUTLINE, PEN, Picture
from histo_ray.report.slides.preview import (
    describe,
    draw_overlay,
    draw_preview,
    enlarge_small,
    tile_boxes,
    write_png,
)
from histo_ray.report.slides.slide_picture import _legend
from histo_ray.types import Pyramid, TileGrid, TissueMask

DOWNSAMPLE = (5.0, 4.0)


def none_of(grid: TileGrid) -> TileGrid:
    return TileGrid(grid.slide_id, grid.coords[:0], grid.tissue[:0], grid.side)


def test_tiles_lie_where_their_coordinates_say(grid: TileGrid) -> None:
    boxes = tile_boxes(grid, DOWNSAMPLE, (500, 800, 3))
    assert boxes.tolist() == [[0, 0, 80, 100], [80, 0, 160, 100], [720, 400, 800, 500]]


def test_boxes_are_cut_at_the_overview_s_edges(grid: TileGrid) -> None:
    boxes = tile_boxes(grid, DOWNSAMPLE, (490, 790, 3))
    assert boxes[-1].tolist() == [720, 400, 790, 490]


def test_only_tiles_are_tinted_and_their_borders_are_strongest(
    overview: Picture, grid: TileGrid
) -> None:
    drawn = draw_overlay(overview, DOWNSAMPLE, None, grid).astype(int)
    changed = (drawn != 240).any(2)
    assert changed[:100, :160].all()
    assert changed[400:, 720:].all()
    assert changed.sum() == 160 * 100 + 80 * 100
    assert drawn[0, 0, 0] < drawn[50, 40, 0] < 240
    assert drawn[50, 79, 0] == drawn[99, 40, 0] == drawn[0, 0, 0]
    assert drawn[499, 799, 0] == drawn[0, 0, 0]


def test_the_outline_follows_the_tissue(overview: Picture, mask: TissueMask) -> None:
    drawn = draw_overlay(overview, DOWNSAMPLE, mask, None)
    teal = np.argwhere((drawn == OUTLINE).all(2))
    top, left = teal.min(0)
    bottom, right = teal.max(0)
    # Mask px 20..70 x 10..30 are level-0 800..2800 x 400..1200: overview 160..560 x 100..300.
    assert (left, top, right, bottom) == pytest.approx((160, 100, 560, 300), abs=2)
    assert (drawn[150:250, 200:500] == 240).all()


def test_pen_marks_have_an_outline_and_a_line_of_the_legend_of_their_own(
    overview: Picture, mask: TissueMask
) -> None:
    ink = np.zeros_like(mask.pixels)
    ink[35:45, 60:95] = True
    marked = TissueMask(mask.pixels, mask.downsample, ink)
    drawn = draw_overlay(overview, DOWNSAMPLE, marked, None)
    magenta = np.argwhere((drawn == PEN).all(2))
    # Mask px 60..95 x 35..45 are level-0 2400..3800 x 1400..1800: overview 480..760 x 350..450.
    assert [*magenta.min(0), *magenta.max(0)] == pytest.approx([350, 480, 450, 760], abs=2)
    assert (drawn[360:440, 490:750] == 240).all()
    assert np.argwhere((drawn == OUTLINE).all(2)).max(0) == pytest.approx((300, 560), abs=2)
    assert "magenta line: pen ink (7.0%)" in _legend(TilingConfig(), marked)
    assert "green line: tissue (20.0% of the slide)" in _legend(TilingConfig(), marked)
    for bare in (mask, TissueMask(mask.pixels, mask.downsample, ink & False)):
        assert not (draw_overlay(overview, DOWNSAMPLE, bare, None) == PEN).all(2).any()
        assert "magenta" not in _legend(TilingConfig(), bare)


def test_the_overview_itself_is_left_alone(
    overview: Picture, mask: TissueMask, grid: TileGrid
) -> None:
    draw_overlay(overview, DOWNSAMPLE, mask, grid)
    assert (overview == 240).all()


def test_a_preview_works_without_mask_without_grid_and_without_tiles(
    overview: Picture, pyramid: Pyramid, mask: TissueMask, grid: TileGrid
) -> None:
    empty = TissueMask(np.zeros_like(mask.pixels), mask.downsample)
    for given in ((None, None), (mask, None), (None, grid), (empty, none_of(grid))):
        drawn = draw_preview(overview, DOWNSAMPLE, pyramid, *given)
        assert drawn.dtype == np.uint8
        assert drawn.shape[1:] == (832, 3)
        assert drawn.shape[0] > 500


def test_a_long_title_does_not_change_the_picture_s_size_or_touch_its_edges(
    overview: Picture, pyramid: Pyramid
) -> None:
    short = draw_preview(overview, DOWNSAMPLE, pyramid, title="S1")
    long = draw_preview(overview, DOWNSAMPLE, pyramid, title="TCGA-05-4249-01Z " * 40)
    assert long.shape == short.shape
    assert (long[:40, -16:] == 255).all()
    assert (long[:40, :14] == 255).all()


def test_a_narrow_overview_gets_room_for_its_caption(pyramid: Pyramid) -> None:
    drawn = draw_preview(np.full((900, 60, 3), 240, np.uint8), (60.0, 2.0), pyramid)
    assert drawn.shape[1] == 392


def test_a_small_overview_is_enlarged_and_places_stay(grid: TileGrid) -> None:
    small = np.full((50, 80, 3), 240, np.uint8)
    large, downsample = enlarge_small(small, (50.0, 40.0))
    assert large.shape == (400, 640, 3)
    assert downsample == (6.25, 5.0)
    boxes = tile_boxes(grid, downsample, large.shape)
    assert boxes[-1].tolist() == [576, 320, 640, 400]


def test_the_caption_tells_size_extent_resolution_and_tiles(
    pyramid: Pyramid, grid: TileGrid
) -> None:
    text = describe(pyramid, grid)
    for part in ("4,000 x 2,000 px", "1 x 0.6 mm", "0.25 x 0.3 um/px (file)", "3 tiles"):
        assert part in text


def test_a_picture_comes_back_from_its_file(tmp_path: Path, overview: Picture) -> None:
    overview[7, 601] = (1, 2, 3)
    path = write_png(tmp_path / "new" / "a.png", overview)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), overview)


def test_a_picture_that_has_no_room_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process whose files may have 1,000 bytes."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from histo_ray.errors import ConfigError\n"
        "from histo_ray.report.slides.preview import write_png\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)\n"
        "try:\n"
        "    write_png(Path(sys.argv[1]), noise)\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "new" / "picture.png"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"picture {path}: cannot be written (File too large); choose")
    assert not path.exists()
