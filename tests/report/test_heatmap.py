import numpy as np

from histo_ray.report.charts.canvas import Picture
from histo_ray.report.charts.colour_scale import ColourScale, fit_scale
from histo_ray.report.slides.heatmap import draw_tile_heatmap, name_ends
from histo_ray.types import TileGrid

DOWNSAMPLE = (5.0, 4.0)


def test_each_tile_takes_its_value_s_colour_and_what_is_not_finite_none(
    overview: Picture, grid: TileGrid
) -> None:
    page = draw_tile_heatmap(overview, DOWNSAMPLE, grid, [0.0, np.nan, 1.0], "focus").astype(int)
    infinite = draw_tile_heatmap(overview, DOWNSAMPLE, grid, [0.0, np.inf, 1.0], "focus")
    np.testing.assert_array_equal(infinite, page)
    left = 16
    top = int(np.argmax((page[:, left] != 255).any(1)))
    body = page[top : top + 500, left : left + 800]
    assert body[50, 40, 2] > body[50, 40, 1]  # lowest: purple
    assert body[450, 760, 1] > body[450, 760, 2]  # highest: yellow
    assert len(set(body[50, 120].tolist())) == 1  # nan: grey
    assert len(set(body[300, 400].tolist())) == 1  # no tile: grey


def test_infinite_and_missing_values_do_not_set_the_scale() -> None:
    scale = fit_scale([np.inf, -np.inf, np.nan, 2.0, 4.0])
    assert 2 <= scale.low < scale.high <= 4
    assert fit_scale([np.nan]) == ColourScale(0, 1)
    colours = ColourScale(2.0, 4.0).colour([-np.inf, 2.0, 4.0, np.inf])
    assert colours[0].tolist() == colours[1].tolist() == [68, 1, 84]
    assert colours[2].tolist() == colours[3].tolist()


def test_the_ends_of_a_colour_bar_say_whether_values_lie_beyond_them() -> None:
    assert name_ends(fit_scale(np.arange(101.0))) == ("<= 2", ">= 98")
    assert name_ends(fit_scale([3.0, 3.0])) == ("3", "3")
    upper = fit_scale([*np.arange(101.0), np.inf, np.nan], centre=0.0)
    assert name_ends(upper) == ("-98", ">= 98")
    assert name_ends(fit_scale(-np.arange(101.0), centre=0.0)) == ("<= -98", "98")


def test_equal_values_and_no_tiles_are_drawn_too(overview: Picture, grid: TileGrid) -> None:
    none = TileGrid("S1", grid.coords[:0], grid.tissue[:0], grid.side)
    drawn = draw_tile_heatmap(overview, DOWNSAMPLE, grid, [3, 3, 3], "a label " * 60)
    assert draw_tile_heatmap(overview, DOWNSAMPLE, none, [], "x").shape[1] == drawn.shape[1]
