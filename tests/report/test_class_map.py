import numpy as np

from histo_ray.report.charts.canvas import Picture
from histo_ray.report.slides.class_map import (
    CLASS_COLOURS,
    colour_classes,
    count_shares,
    draw_class_map,
)
from histo_ray.report.slides.class_pictures import list_shown
from histo_ray.report.slides.heatmap import soften
from histo_ray.types import TileGrid

DOWNSAMPLE = (5.0, 4.0)


def test_each_tile_takes_the_colour_of_its_class_which_the_legend_shows(
    overview: Picture, grid: TileGrid
) -> None:
    classes = ["ADI", "a very long name of a class of tissue " * 4, "TUM"]
    page = draw_class_map(overview, DOWNSAMPLE, grid, np.array([2, 2, 0]), classes, "head")
    top = int(np.argmax((page[:, 16] != 255).any(1)))
    body, legend = page[top : top + 500, 16:816], page[top + 500 :]
    swatches = soften(colour_classes(3))
    near = np.abs(body[50, 40].astype(int) - swatches[2]).max()
    assert near < 12  # the pale slide shines through
    assert np.abs(body[450, 760].astype(int) - swatches[0]).max() < 12
    assert len(set(body[300, 400].tolist())) == 1  # no tile: grey
    for colour in swatches:
        assert (legend == colour).all(axis=2).sum() > 80
    assert count_shares(np.array([2, 2, 0]), 3).tolist() == [1 / 3, 0, 2 / 3]
    assert count_shares(np.array([], int), 2).tolist() == [0, 0]


def test_colours_repeat_where_there_are_more_classes() -> None:
    count = len(CLASS_COLOURS)
    colours = colour_classes(count + 2)
    assert len({tuple(colour) for colour in colours.tolist()}) == count
    assert (colours[count:] == colours[:2]).all()


def test_the_tiles_that_a_head_is_surest_of_are_shown_class_by_class() -> None:
    scores = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]])
    assert list_shown(scores.argmax(1), scores) == {0: [0, 3, 1], 1: [2]}
