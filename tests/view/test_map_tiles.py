"""The pyramid of map tiles shows what the reader reads."""

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.slides.reader import open_slide
from histo_ray.types import Mpp, Pyramid, Size
from histo_ray.view import map_tiles
from histo_ray.view.map_tiles import MAP_PX, MapPyramid, read_map_tile
from histo_ray.view.slide_pool import PooledSlide
from tests.conftest import Cohort


class DrawnSlide:
    """Pixels whose red is the column and whose green is the row of level 0, over a constant."""

    def __init__(self, size: Size, levels: tuple[int, ...] = (1,)) -> None:
        sizes = tuple((size[0] // each, size[1] // each) for each in levels)
        self.pyramid = Pyramid("drawn", Mpp(0.5, 0.5), "file", sizes)
        self.reads = list[tuple[int, Size]]()
        self._levels = levels

    def read(self, corner: tuple[int, int], level: int, size: Size) -> npt.NDArray[np.uint8]:
        self.reads.append((level, size))
        step = self._levels[level]
        x = corner[0] + step * (np.arange(size[0]) + 0.5)
        y = corner[1] + step * (np.arange(size[1]) + 0.5)
        grid = np.stack(np.meshgrid(x / 64, y / 64), axis=-1)
        return np.concatenate([grid, np.full((*grid.shape[:2], 1), 9)], axis=-1).astype(np.uint8)

    @property
    def overview(self) -> npt.NDArray[np.uint8]:
        return np.full((self.pyramid.size[1] // 64, self.pyramid.size[0] // 64, 3), 7, np.uint8)


def test_zoom_0_holds_the_slide_in_one_tile_and_the_native_zoom_its_pixels() -> None:
    pyramid = MapPyramid((5000, 1300))
    assert (pyramid.native_zoom, pyramid.extent) == (4, 8192)
    assert pyramid.downsample(0) == 16
    assert pyramid.downsample(4) == 1
    assert pyramid.corner(4, 9, 2) == (9 * MAP_PX, 2 * MAP_PX)
    for beyond in ((0, 1, 0), (4, 0, 3), (7, 0, 0)):
        with pytest.raises(IndexError):
            pyramid.corner(*beyond)


def test_tiles_at_the_native_zoom_are_what_the_reader_reads(cohort: Cohort) -> None:
    with open_slide(str(cohort.folder / "good-b.svs")) as slide:
        pyramid = MapPyramid(slide.size)
        for column, row in ((0, 0), (2, 1)):  # up to both far edges
            tile = read_map_tile(PooledSlide(slide), pyramid, pyramid.native_zoom, column, row)
            corner = (column * MAP_PX, row * MAP_PX)
            np.testing.assert_array_equal(tile, slide.read(corner, 0, (MAP_PX, MAP_PX)))


def test_a_coarser_zoom_is_the_mean_of_the_finer_one(cohort: Cohort) -> None:
    with open_slide(str(cohort.folder / "good-b.svs")) as slide:
        pyramid, pooled = MapPyramid(slide.size), PooledSlide(slide)
        coarse = read_map_tile(pooled, pyramid, pyramid.native_zoom - 1, 0, 0).astype(float)
        fine = slide.read((0, 0), 0, (2 * MAP_PX, 2 * MAP_PX)).astype(float)
        means = fine.reshape(MAP_PX, 2, MAP_PX, 2, 3).mean(axis=(1, 3))
        assert np.abs(coarse - means).mean() < 6  # of the slide's own coarse level, if it has one


def test_the_coarsest_level_that_is_fine_enough_is_read_and_no_more_at_once() -> None:
    slide = DrawnSlide((16_000, 9_000), (1, 4, 16))
    pyramid = MapPyramid(slide.pyramid.size)
    tile = read_map_tile(slide, pyramid, pyramid.native_zoom - 2, 1, 2)
    assert slide.reads == [(1, (MAP_PX, MAP_PX))]
    assert tile[0, 0].tolist() == [32, 64, 9]  # column 2,048 and row 4,096 of level 0
    single = DrawnSlide((16_000, 9_000))
    tile = read_map_tile(single, pyramid, pyramid.native_zoom - 3, 1, 0)
    assert max(max(size) for _, size in single.reads) <= map_tiles.MOST_READ_PX
    assert (
        np.abs(tile[:, :, 0].mean(axis=0) - (4096 + 8 * (np.arange(MAP_PX) + 0.5)) / 64).max() < 1
    )
    assert np.abs(tile[:, :, 1].mean(axis=1) - 8 * (np.arange(MAP_PX) + 0.5) / 64).max() < 1


def test_the_overview_stands_in_where_no_level_is_coarse_enough() -> None:
    slide = DrawnSlide((64_000, 16_000))
    tile = read_map_tile(slide, MapPyramid(slide.pyramid.size), 0, 0, 0)
    assert not slide.reads
    assert tile[0, 0].tolist() == [7, 7, 7]
    assert tile[-1, 0].tolist() == [255, 255, 255]


def test_beyond_the_native_zoom_pixels_are_enlarged() -> None:
    slide = DrawnSlide((900, 700))
    pyramid = MapPyramid(slide.pyramid.size)
    read_map_tile(slide, pyramid, pyramid.most_zoom, 6, 5)
    assert slide.reads == [(0, (128, 128))]
