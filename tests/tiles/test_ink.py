"""Ink and stain of the same colour, drawn over made and real tissue."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.config import TilingConfig
from histo_ray.slides.reader import open_slide
from histo_ray.tiles.illumination import optical_density
from histo_ray.tiles.ink import find_ink
from histo_ray.tiles.pixels import read_overview
from histo_ray.tiles.tissue import examine_overview

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
HEIGHT, WIDTH, MPP, GLASS = 480, 620, 8.0, 243.0
TILING = TilingConfig()
PENS = {
    "red": (214, 25, 30), "dark red": (150, 15, 30), "orange": (235, 110, 30),
    "brown": (120, 70, 40), "green": (20, 130, 70), "teal": (40, 150, 120),
    "blue": (40, 60, 180), "light blue": (30, 110, 200), "navy": (25, 30, 90),
    "black": (30, 30, 35),
}  # fmt: skip
STAINS = {  # two stains mixed in fields of some px, and how coarse the fields are
    "H&E": ((225, 150, 185), (140, 80, 160), 3.0),
    "Masson blue": ((200, 70, 90), (80, 120, 190), 6.0),
    "Masson green": ((190, 70, 90), (70, 150, 120), 8.0),
    "DAB": ((205, 208, 225), (110, 65, 35), 5.0),
    "AEC": ((205, 208, 225), (190, 60, 55), 5.0),
    "PAS": ((225, 180, 210), (170, 40, 120), 5.0),
    "alcian blue": ((235, 215, 225), (110, 190, 210), 5.0),
    "dense haematoxylin": ((90, 50, 120), (60, 30, 95), 4.0),
    "melanin": ((215, 150, 180), (55, 35, 28), 4.0),
    "blood": ((200, 50, 70), (235, 120, 140), 6.0),
}


def as_image(values: Values) -> Pixels:
    done, data = cv2.imencode(
        ".jpg", np.clip(values + 0.5, 0, 255).astype(np.uint8)[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, 85],
    )  # fmt: skip
    assert done
    image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(image[..., ::-1])


def field(size: float, seed: int) -> Values:
    """Noise of unit variance, smooth over `size` px."""
    values = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH))
    smooth = cv2.GaussianBlur(values, (0, 0), size)
    return np.asarray(smooth / smooth.std())


def stained(name: str) -> Values:
    """A whole image of one stain, with nuclei and gaps."""
    first, second, size = STAINS[name]
    share = 1 / (1 + np.exp(-4 * (field(size, 1) - 0.5)))[..., None]
    od = -np.log10(np.array(first) / GLASS) * (1 - share)
    od = od - np.log10(np.array(second) / GLASS) * share
    od *= 1 + 0.15 * field(1.5, 2)[..., None]
    return np.asarray(GLASS * 10**-od + np.random.default_rng(3).normal(0, 2, od.shape))


def ellipse() -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (330, 210), (230, 150), 12, 0, 360, 1, -1)
    return mask.astype(bool)


def on_glass(tissue: Values, inside: Mask) -> Values:
    values = GLASS + np.random.default_rng(4).normal(0, 2, tissue.shape)
    values[inside] = tissue[inside]
    return np.asarray(values)


def across(mask: Pixels, width: int) -> None:
    cv2.line(mask, (30, 30), (590, 420), 1, width)


def around(mask: Pixels, width: int) -> None:
    cv2.ellipse(mask, (330, 210), (230, 150), 12, 20, 230, 1, width)


def beside(mask: Pixels, width: int) -> None:
    cv2.line(mask, (40, 425), (560, 415), 1, width)


def draw(
    values: Values, pen: str, path: Callable[[Pixels, int], None], width: int, amount: float | None
) -> tuple[Pixels, Mask]:
    """Draw a stroke: `amount` of its density over what is there, or opaque (None)."""
    mask = np.zeros(values.shape[:2], np.uint8)
    path(mask, width)
    soft = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 1.2)[..., None]
    colour = np.array(PENS[pen], float)
    if amount is None:
        drawn = values * (1 - soft) + colour * soft
    else:
        uneven = np.clip(1 + 0.12 * field(15, 5)[: values.shape[0], : values.shape[1]], 0.4, 1.6)
        drawn = values * 10 ** (np.log10(colour / GLASS) * amount * soft * uneven[..., None])
    return as_image(drawn), mask.astype(bool)


def assert_told_apart(values: Values, drawn: Pixels, stroke: Mask) -> None:
    """At most 5 % of the tissue away from the stroke is lost; 80 % of the stroke is found."""
    before = examine_overview(as_image(values), MPP, TILING).pixels
    found = examine_overview(drawn, MPP, TILING)
    away = before & ~cv2.dilate(stroke.astype(np.uint8), np.ones((31, 31), np.uint8)).astype(bool)
    assert (away & ~found.pixels).sum() <= 0.05 * away.sum()
    assert (stroke & found.ink).sum() >= 0.8 * stroke.sum()
    assert not (found.pixels & found.ink).any()


@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("whole", [False, True])
def test_no_stain_is_taken_for_ink(stain: str, whole: bool) -> None:
    tissue = stained(stain)
    image = as_image(tissue if whole else on_glass(tissue, ellipse()))
    assert find_ink(optical_density(image), (MPP, MPP)).pen.mean() < 0.005


@pytest.mark.parametrize("pen", PENS)
@pytest.mark.parametrize(
    ("path", "width", "amount"), [(across, 60, None), (beside, 24, None), (around, 50, 0.75)]
)
def test_strokes_are_told_from_tissue(
    pen: str, path: Callable[[Pixels, int], None], width: int, amount: float | None
) -> None:
    values = on_glass(stained("H&E"), ellipse())
    assert_told_apart(values, *draw(values, pen, path, width, amount))


@pytest.mark.parametrize("pink", [(223, 137, 168), (170, 110, 170)])
def test_a_red_outline_leaves_pink_tissue(pink: tuple[int, int, int]) -> None:
    """Eosin is not ink: `pink` was measured on a slide that lost most of its tissue."""
    height, width = 1000, 1250
    image = np.full((height, width, 3), 241, np.uint8)
    cv2.circle(image, (625, 500), 375, pink, -1)
    stroke = np.zeros((height, width), np.uint8)
    cv2.ellipse(stroke, (625, 500), (375, 375), 0, 0, 180, 1, 60)
    beside = cv2.dilate(stroke, np.ones((19, 19), np.uint8)) > 0  # where ink fades out
    wanted = (image[..., 1] == pink[1]) & (stroke == 0)
    image[stroke > 0] = (214, 25, 30)
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    found = examine_overview(np.clip(image + noise, 0, 255).astype(np.uint8), MPP, TILING)
    assert (found.pixels & wanted).sum() > 0.96 * wanted.sum()
    assert (found.pixels & wanted & ~beside).sum() > 0.999 * (wanted & ~beside).sum()
    assert (found.ink & (stroke > 0)).sum() > 0.97 * stroke.sum()


@pytest.mark.parametrize("pen", [(214, 25, 30), (30, 60, 160), (25, 25, 28), (20, 130, 70)])
def test_a_stroke_on_glass_costs_a_pale_slide_nothing(pen: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    image = np.full((900, 1100, 3), 250.0)
    disc = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, (550, 400), 300, 1, -1)
    amount = cv2.GaussianBlur(np.asarray(rng.normal(0, 1, disc.shape)), (0, 0), 12)
    amount = (1 + 0.25 * amount / amount.std())[..., None]
    pale = 250 - (250 - np.array((224, 220, 236))) * amount
    image[disc > 0] = pale[disc > 0]
    noise = rng.normal(0, 2, image.shape)
    plain = examine_overview(np.clip(image + noise, 0, 255).astype(np.uint8), MPP, TILING)
    cv2.line(image, (50, 800), (1000, 800), pen, 60)
    marked = examine_overview(np.clip(image + noise, 0, 255).astype(np.uint8), MPP, TILING)
    assert plain.pixels.sum() > 0.85 * disc.sum()
    assert (plain.pixels ^ marked.pixels).sum() < 0.01 * plain.pixels.sum()


def test_a_wide_piece_of_one_colour_is_tissue_whatever_the_colour() -> None:
    for colour in ((90, 130, 190), (60, 100, 170), (100, 170, 140), (200, 40, 60), (110, 65, 35)):
        image = np.full((700, 900, 3), 243.0)
        cv2.ellipse(image, (450, 350), (300, 250), 0, 0, 360, colour, -1)
        image += np.random.default_rng(0).normal(0, 3, image.shape)
        found = examine_overview(np.clip(image, 0, 255).astype(np.uint8), MPP, TILING)
        assert not found.ink.any()
        assert found.pixels.mean() == pytest.approx(np.pi * 300 * 250 / 630_000, rel=0.03)


def test_a_black_margin_is_neither_ink_nor_tissue() -> None:
    values = on_glass(stained("H&E"), ellipse())
    values[:, :70] = 0
    values[450:] = 0
    found = examine_overview(as_image(values), MPP, TILING)
    assert not found.ink.any()
    assert not found.pixels[:, :60].any()
    assert not found.pixels[460:].any()
    assert found.pixels[ellipse()].mean() > 0.95


def test_axes_of_different_resolution_see_the_same_stroke() -> None:
    values = on_glass(stained("H&E"), ellipse())
    image, stroke = draw(values, "green", across, 50, None)
    wide = cv2.resize(image, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA)
    pen = find_ink(optical_density(np.asarray(wide, np.uint8)), (2 * MPP, MPP)).pen
    halved = cv2.resize(stroke.astype(np.uint8), (WIDTH // 2, HEIGHT)).astype(bool)
    assert (pen & halved).sum() > 0.8 * halved.sum()
    assert pen.sum() < 2 * halved.sum()


def read_real(real_data: Path, name: str) -> Values:
    with open_slide(str(real_data / "slides" / name)) as slide:
        return np.asarray(read_overview(slide, MPP)[0], np.float64)


def mosaic(files: list[Path], edge: int, seed: int = 0) -> Values:
    """Real tiles at about 8 microns a px, side by side."""
    rng = np.random.default_rng(seed)
    rows, columns = HEIGHT // edge + 1, WIDTH // edge + 1
    tiles = [
        cv2.resize(np.asarray(cv2.imread(str(file)))[..., ::-1], (edge, edge),
                   interpolation=cv2.INTER_AREA)
        for file in rng.choice(np.array(files), rows * columns)
    ]  # fmt: skip
    lines = [np.concatenate(tiles[r * columns : (r + 1) * columns], 1) for r in range(rows)]
    return np.concatenate(lines)[:HEIGHT, :WIDTH].astype(np.float64)


@cache
def real_tissues(real_data: Path) -> dict[str, Any]:
    tiles = real_data / "tiles"
    slide = read_real(real_data, "CMU-1-Small-Region.svs")
    pad = ((0, HEIGHT - slide.shape[0]), (0, WIDTH - slide.shape[1]), (0, 0))
    found: dict[str, Any] = {"slide": np.pad(slide, pad, mode="symmetric")}
    for name in ("AC", "H", "T", "V"):
        files = sorted((tiles / "colorectal5" / "test" / name).glob("*.jpg"))
        found[name] = on_glass(mosaic(files, 28), ellipse())
    for name in ("MUS", "STR", "TUM", "LYM", "NORM"):
        files = sorted((tiles / "nct9" / name).iterdir())
        found[name] = on_glass(mosaic(files, 28), ellipse())
    return found


def test_real_slides_and_tiles_without_a_stroke_show_no_ink(real_data: Path) -> None:
    overviews = [read_real(real_data, n) for n in ("CMU-1-Small-Region.svs", "1065626.svs")]
    for values in (*overviews, *real_tissues(real_data).values()):
        image = np.clip(values, 0, 255).astype(np.uint8)
        assert not find_ink(optical_density(image), (MPP, MPP)).pen.any()


@pytest.mark.parametrize("pen", PENS)
def test_strokes_on_real_tissue_are_told_from_it(real_data: Path, pen: str) -> None:
    turn = list(PENS).index(pen)
    for number, values in enumerate(real_tissues(real_data).values()):
        if (number + turn) % 3:
            continue  # each pen on a third of the tissues keeps it quick
        path = (across, around, beside)[turn % 3]
        amount, width = ((None, 60), (0.75, 50), (None, 24))[(number // 3) % 3]
        assert_told_apart(values, *draw(values, pen, path, width, amount))


@pytest.mark.parametrize("pen", ["blue", "navy", "red", "brown"])
@pytest.mark.parametrize("width", [24, 50])
def test_semi_transparent_ink_over_dense_and_coarse_tissue_is_found(
    real_data: Path, pen: str, width: int
) -> None:
    """Ink of the hue of a stain: the tissue below it is seen through it."""
    for name in ("V", "T", "STR"):
        values = real_tissues(real_data)[name]
        for path in (across, beside) if width == 24 else (around,):
            assert_told_apart(values, *draw(values, pen, path, width, 0.75))


def strips(width: int) -> Mask:
    """Where three biopsy cores lie."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(mask, (20, 40), (600, 70), 1, width)
    cv2.ellipse(mask, (310, 300), (260, 150), 0, 190, 340, 1, width)
    cv2.line(mask, (20, 440), (600, 420), 1, width)
    return mask.astype(bool)


@pytest.mark.parametrize("stain", ["H&E", "Masson blue", "DAB", "AEC", "PAS", "melanin"])
def test_biopsy_cores_are_tissue_though_they_are_shaped_like_strokes(stain: str) -> None:
    for width in (20, 60):
        image = as_image(on_glass(stained(stain), strips(width)))
        assert not find_ink(optical_density(image), (MPP, MPP)).pen.any()


def test_real_biopsy_cores_are_tissue(real_data: Path) -> None:
    for name in ("MUS", "STR", "TUM", "MUC", "DEB"):
        values = mosaic(sorted((real_data / "tiles" / "nct9" / name).iterdir()), 28)
        for width in (20, 60):
            image = as_image(on_glass(values, strips(width)))
            assert not find_ink(optical_density(image), (MPP, MPP)).pen.any()


def test_a_stroke_on_an_almost_empty_immunostain_is_found(real_data: Path) -> None:
    values = read_real(real_data, "1065626.svs")
    before = examine_overview(as_image(values), MPP, TILING)  # compressed, as what follows
    for pen in ("red", "blue", "green", "black"):
        image = values.copy()
        cv2.line(image, (60, 560), (700, 590), PENS[pen], 40)
        found = examine_overview(as_image(image), MPP, TILING)
        away = before.pixels.copy()
        away[500:640] = False
        assert (away & ~found.pixels).sum() <= 0.05 * away.sum()
        assert found.ink[:500].sum() == 0
        assert found.ink.sum() >= 0.8 * 641 * 40
