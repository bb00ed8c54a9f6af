import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.pixels import locate_tissue
from histo_ray.tiles.tissue import find_tissue

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
HEIGHT, WIDTH, MPP = 300, 420, 8.0
TILING = TilingConfig()
GLASS = (243, 243, 243)
PENS = {
    "blue": (40, 60, 180), "navy": (25, 30, 90), "green": (20, 130, 70), "cyan": (40, 160, 200),
    "pale green": (60, 190, 110), "red": (200, 30, 50), "black": (30, 30, 35),
}  # fmt: skip


def plain(colour: tuple[int, int, int] = GLASS, noise: float = 2.0) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.asarray(colour + rng.normal(0, noise, (HEIGHT, WIDTH, 3)))


def as_image(values: Any, quality: int = 80) -> Pixels:
    """8-bit, after a round through JPEG."""
    whole = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", whole[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    )


def ellipse(centre: tuple[int, int] = (210, 150), axes: tuple[int, int] = (90, 50)) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, centre, axes, 20, 0, 360, 1, -1)
    return mask.astype(bool)


def overlap(found: Mask, wanted: Mask) -> float:
    return float((found & wanted).sum() / (found | wanted).sum())


def vignette(tint: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return np.asarray(1 - 0.09 * (x**2 + y**2)[..., None] * tint)


def dusty() -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(1)
    values = plain()
    for _ in range(100):
        centre = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        cv2.circle(values, centre, int(rng.integers(1, 4)), (90, 85, 80), -1)
    return values


EMPTY = {
    "white": np.full((HEIGHT, WIDTH, 3), 255.0),
    "off-white": plain((235, 230, 215)),
    "bluish": plain((228, 234, 238)),
    "noisy": plain(noise=8),
    "vignette": plain() * vignette((1, 1, 1)),
    "tinted vignette": plain() * vignette((1, 0.95, 0.9)),
    "dust": dusty(),
}


@pytest.mark.parametrize("look", EMPTY)
@pytest.mark.parametrize("quality", [30, 90])
def test_an_empty_slide_is_empty_and_says_why(look: str, quality: int) -> None:
    mask, reason = find_tissue(as_image(EMPTY[look], quality), MPP, TILING)
    assert not mask.any()
    assert reason.startswith("no tissue: ")
    whole = re.fullmatch(
        r"no tissue: [\d.e-]+ % of the slide is stained(; the largest stained piece has \d+ um2, "
        r"and pieces below 10000 um2 are dropped \(--min-area-um2\))?",
        reason,
    )
    assert whole, reason


@pytest.mark.parametrize(
    "colour", [(225, 150, 190), (150, 90, 160), (150, 100, 60), (90, 50, 120), (180, 50, 70)]
)
def test_a_slide_full_of_tissue_is_all_tissue(colour: tuple[int, int, int]) -> None:
    mask, reason = find_tissue(as_image(plain(colour, 8)), MPP, TILING)
    assert mask.all()
    assert reason == ""


def test_two_stains_are_not_taken_for_tissue_and_glass() -> None:
    values = plain((235, 170, 205), 4)
    values[:, :200] = plain((120, 70, 150), 4)[:, :200]
    assert find_tissue(as_image(values), MPP, TILING)[0].all()


@pytest.mark.parametrize("glass", [GLASS, (235, 230, 215)])
@pytest.mark.parametrize(
    "colour",
    [
        (215, 140, 180), (180, 50, 70), (110, 65, 35),  # H&E, blood, DAB
        (205, 208, 225), (222, 220, 226), (240, 222, 230), (110, 125, 170),  # pale, blue
    ],
)  # fmt: skip
def test_a_piece_of_any_stain_is_found_on_any_glass(
    colour: tuple[int, int, int], glass: tuple[int, int, int]
) -> None:
    wanted = ellipse()
    values = plain(glass)
    values[wanted] = np.array(colour) * glass / 243
    found, _ = find_tissue(as_image(values), MPP, TILING)
    assert overlap(found, wanted) > 0.93


@pytest.mark.parametrize("pen", PENS)
def test_pen_marks_are_not_tissue(pen: str) -> None:
    values = plain(noise=1)
    corners = np.array([[40, 40], [380, 60], [350, 250], [60, 260]], np.int32)
    cv2.polylines(values, [corners], True, PENS[pen], 14)
    mask, reason = find_tissue(as_image(cv2.GaussianBlur(values, (0, 0), 1.5)), MPP, TILING)
    assert not mask.any()
    assert "% is pen ink" in reason


def test_glass_between_two_strokes_is_not_closed_into_tissue() -> None:
    values = plain(noise=1)
    for y in (100, 134):
        cv2.line(values, (40, y), (380, y), PENS["green"], 14)
    mask, _ = find_tissue(as_image(values), MPP, TilingConfig(close_um=200, min_area_um2=0))
    assert not mask.any()


@pytest.mark.parametrize("pen", PENS)
def test_tissue_beside_pen_marks_is_kept(pen: str) -> None:
    wanted = ellipse((250, 150))
    values = plain()
    values[wanted] = (200, 130, 175)
    cv2.line(values, (30, 20), (60, 290), PENS[pen], 14)
    found, _ = find_tissue(as_image(cv2.GaussianBlur(values, (0, 0), 1.2)), MPP, TILING)
    assert overlap(found, wanted) > 0.92


@pytest.mark.parametrize(("radius", "filled"), [(10, True), (25, False)])
def test_holes_are_filled_up_to_an_area_in_square_microns(radius: int, filled: bool) -> None:
    values = plain()
    values[ellipse(axes=(120, 80))] = (200, 130, 175)
    cv2.circle(values, (210, 150), radius, GLASS, -1)  # 20,000 or 125,000 um2
    assert find_tissue(as_image(values), MPP, TILING)[0][150, 210] == filled


def test_areas_follow_the_resolution_along_each_axis() -> None:
    values = plain()
    values[100:110, 200:214] = (180, 90, 150)  # 140 px
    image = as_image(values)
    tiling = TilingConfig(close_um=0)
    assert not find_tissue(image, 4.0, tiling)[0].any()
    assert find_tissue(image, (16.0, 12.0), tiling)[0].any()
    assert find_tissue(image, 4.0, TilingConfig(close_um=0, min_area_um2=1000))[0].any()


@pytest.mark.parametrize(("close_um", "pieces"), [(0.0, 2), (96.0, 1)])
def test_gaps_are_closed_up_to_a_width_in_microns(close_um: float, pieces: int) -> None:
    values = plain(noise=0)
    values[100:200, 100:200] = values[100:200, 208:300] = (190, 110, 165)  # a gap of 64 um
    mask, _ = find_tissue(as_image(values), MPP, TilingConfig(close_um=close_um))
    assert cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 == pieces


def test_a_black_border_is_neither_tissue_nor_fluorescence() -> None:
    wanted = ellipse((300, 150), (60, 40))
    values = plain()
    values[wanted] = (200, 130, 175)
    values[:, :215] = 0  # half of the slide
    values[270:] = 0
    found, _ = find_tissue(as_image(values, 95), MPP, TILING)
    assert overlap(found, wanted) > 0.9


@pytest.mark.parametrize("glow", [(10, 15, 90), (10, 160, 30)])
def test_a_dark_ground_is_refused_with_a_remedy(glow: tuple[int, int, int]) -> None:
    values = np.abs(np.random.default_rng(0).normal(2, 2, (HEIGHT, WIDTH, 3)))
    values[ellipse(axes=(120, 90))] = glow
    with pytest.raises(SlideError, match=r"slide 'S1': dark background .*--tissue none, or give"):
        find_tissue(as_image(values), MPP, TILING, "S1")


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (5, 3)])
def test_tiny_images_do_not_break_it(shape: tuple[int, int]) -> None:
    mask, reason = find_tissue(np.full((*shape, 3), 240, np.uint8), 64.0, TILING)
    assert mask.shape == shape
    assert reason


def test_real_slides_give_the_tissue_that_a_person_sees(real_data: Path) -> None:
    def tissue(name: str) -> tuple[Mask, int]:
        with open_slide(str(real_data / "slides" / name)) as slide:
            mask, _, _ = locate_tissue(slide, TILING)
            assert mask is not None
            return mask.pixels, len(plan_tiles(slide.pyramid, mask, TILING))

    pixels, tiles = tissue("CMU-1-Small-Region.svs")
    assert 0.38 < pixels.mean() < 0.46
    assert 55 <= tiles <= 70
    pixels, tiles = tissue("1065626.svs")
    assert 20 <= tiles <= 45
    clumps = [(180, 118), (276, 430), (313, 402), (337, 411), (468, 442), (513, 458)]
    for x, y in clumps:  # the six that a person sees, as px of 8 microns
        assert pixels[y - 8 : y + 9, x - 8 : x + 9].any(), (x, y)
    assert cv2.connectedComponents(pixels.astype(np.uint8))[0] - 1 <= 8  # so dust is left out
    with pytest.raises(SlideError, match=r"dark background \(median luminance 3 of 255\)"):
        tissue("fluorescence-DAPI.ndpi")


def test_real_tumour_tiles_are_all_tissue(real_data: Path) -> None:
    tiling = TilingConfig(min_area_um2=1000)
    files = sorted((real_data / "tiles" / "colorectal5" / "test").glob("*/*.jpg"))[::20]
    shares = []
    for file in files:
        with open_slide(str(file), mpp=1.0) as slide:
            image = slide.read((0, 0), 0, slide.size)
        shares.append(find_tissue(image, 1.0, tiling)[0].mean())
    assert len(shares) >= 40
    assert np.mean(shares) > 0.98


def test_a_field_smaller_than_the_least_piece_is_told_so() -> None:
    found, reason = find_tissue(np.full((60, 50, 3), 140, np.uint8), (1.0, 2.0), TILING)
    assert not found.any()
    assert reason.startswith("the slide measures 50 x 120 um (6000 um2), less than the smallest")
    assert "--min-area-um2 10000" in reason
