from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from histo_ray.config import TilingConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.slides import overview
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.pixels import locate_tissue, read_batch, read_overview, read_tiles

Pixels = npt.NDArray[np.uint8]


def area_means(pixels: Pixels, width: int, height: int) -> npt.NDArray[np.float64]:
    """Area averages of a whole image by its integral."""
    total = np.zeros((pixels.shape[0] + 1, pixels.shape[1] + 1, 3))
    total[1:, 1:] = pixels.cumsum(0, dtype=float).cumsum(1)
    for axis, count in ((0, height), (1, width)):
        edges = np.linspace(0, pixels.shape[axis], count + 1)
        low = np.minimum(edges.astype(int), pixels.shape[axis] - 1)
        part = (edges - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        total = total.take(low, axis) * (1 - part) + total.take(low + 1, axis) * part
    area = pixels.shape[0] * pixels.shape[1] / (width * height)
    return np.asarray(np.diff(np.diff(total, axis=0), axis=1) / area, np.float64)


@pytest.mark.parametrize("block_px", [37, 100, 1024])
def test_the_overview_is_the_area_average_whatever_the_blocks(
    tiled_tiff: Path, gradient: Pixels, monkeypatch: pytest.MonkeyPatch, block_px: int
) -> None:
    monkeypatch.setattr(overview, "BLOCK_PX", block_px)
    with open_slide(str(tiled_tiff)) as slide:  # 0.5 x 0.25 mpp; its second level is 2 x 1
        image, downsample = read_overview(slide, 1.25)
    assert image.shape == (84, 280, 3)
    assert downsample == (2.5, 5.0)
    assert np.abs(image - area_means(gradient, 280, 84)).max() <= 0.51


def test_the_overview_of_a_coarse_slide_is_the_slide(tiled_tiff: Path, gradient: Pixels) -> None:
    with open_slide(str(tiled_tiff), mpp=10) as slide:
        image, downsample = read_overview(slide, 8)
    assert downsample == (1.0, 1.0)
    np.testing.assert_array_equal(image, gradient)


def test_the_overview_uses_a_coarser_level_where_that_is_fine_enough(
    tiled_tiff: Path, gradient: Pixels
) -> None:
    with open_slide(str(tiled_tiff), mpp=1) as slide:
        blurred, _ = read_overview(slide, 8)
        exact, _ = read_overview(slide, 3)
    # The second level holds every fourth px, not averages: its use shows.
    sampled = gradient[::4, ::4]
    assert np.abs(blurred - area_means(sampled, 88, 52)).max() <= 0.51
    assert np.abs(blurred - area_means(gradient, 88, 52)).max() > 0.51
    assert np.abs(exact - area_means(gradient, 233, 140)).max() <= 0.51


def test_tiles_are_the_slides_pixels_at_their_coordinates(
    tiled_tiff: Path, gradient: Pixels
) -> None:
    with open_slide(str(tiled_tiff)) as slide:
        batches = list(read_tiles(slide, mpp=0.5, tile_px=64, batch_size=7))
    coords = np.concatenate([batch.coords for batch in batches])
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert [batch.start for batch in batches] == [0, 7, 14, 21, 28]
    assert [len(batch) for batch in batches] == [7, 7, 7, 7, 2]
    assert coords[-1].tolist() == [576, 256]  # 64 x 128 level-0 px each
    assert pixels.shape == (30, 64, 64, 3)
    for (x, y), tile in zip(coords, pixels, strict=True):
        source = gradient[y : y + 128, x : x + 64]
        means = source.reshape(64, 2, 64, 3).mean(1)
        assert np.abs(tile - means).max() <= 0.51


def test_a_batch_does_not_depend_on_how_tiles_are_batched(tiled_tiff: Path) -> None:
    with open_slide(str(tiled_tiff), mpp=0.31) as slide:
        tiling = TilingConfig(mpp=0.5, tile_px=50, stride_px=33)
        grid = plan_tiles(slide.pyramid, None, tiling)
        level_read = choose_level(slide.pyramid, 0.5, 50)
        whole = read_batch(slide, grid, level_read, 50, 0, len(grid))
        part = read_batch(slide, grid, level_read, 50, 5, 9)
        np.testing.assert_array_equal(part.pixels, whole.pixels[5:9])
        np.testing.assert_array_equal(part.coords, grid.coords[5:9])
        assert part.start == 5
        beyond = read_batch(slide, grid, level_read, 50, len(grid) - 1, len(grid) + 9)
        assert len(beyond) == 1


def test_the_same_tissue_at_two_resolutions_gives_the_same_tiles(
    tmp_path: Path, gradient: Pixels
) -> None:
    fine = np.asarray(cv2.resize(gradient, (1400, 840), interpolation=cv2.INTER_NEAREST), np.uint8)
    found = []
    for name, pixels, mpp in (("fine", fine, 0.25), ("coarse", gradient, 0.5)):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb")
        with open_slide(str(tmp_path / f"{name}.tif"), mpp=mpp) as slide:
            batches = list(read_tiles(slide, mpp=0.7, tile_px=100))
        found.append(np.concatenate([batch.pixels for batch in batches]).astype(int))
    assert found[0].shape == found[1].shape
    assert np.abs(found[0] - found[1]).max() <= 2


@pytest.mark.parametrize(
    "options", [{"mpp": 99}, {"batch_size": 0}, {"tissue": "masks/here.png"}, {"wrong": 1}]
)
def test_settings_that_make_no_tiling_are_refused(tiled_tiff: Path, options: Any) -> None:
    with open_slide(str(tiled_tiff)) as slide, pytest.raises(ConfigError):
        read_tiles(slide, **options)


def test_tissue_comes_from_the_method_that_is_asked_for(tiled_tiff: Path, tmp_path: Path) -> None:
    def locate(tissue: str) -> Any:
        with open_slide(str(tiled_tiff), slide_id="S1") as slide:
            return locate_tissue(slide, TilingConfig(tissue=tissue))

    assert locate("none") == (None, "", "")
    mask, _, digest = locate("otsu")
    assert (mask.pixels.shape, digest) == ((13, 44), "")
    cv2.imwrite(str(tmp_path / "S1.png"), np.ones((42, 70), np.uint8))
    mask, reason, digest = locate(f"{tmp_path}/{{slide_id}}.png")
    assert mask.pixels.all()
    assert (reason, len(digest)) == ("", 64)
    cv2.imwrite(str(tmp_path / "S1.png"), np.zeros((42, 70), np.uint8))
    mask, reason, _ = locate(f"{tmp_path}/{{slide_id}}.png")
    assert not mask.pixels.any()
    assert reason == f"no tissue: the mask {tmp_path}/S1.png marks none"
    for wrong in ("masks/{slide_id}.npy", "masks/a.png", "grey"):
        with pytest.raises(ConfigError, match=r"must be otsu, none, a path of mask files"):
            locate(wrong)
    with pytest.raises(SlideError, match="cannot be read"):
        locate(f"{tmp_path}/{{slide_id}}.geojson")
