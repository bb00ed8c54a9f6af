"""Which reduced images become levels: no shift by padding, and no macro among them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError
from histo_ray.extract.slide import plan_slide
from histo_ray.slides.levels import nominal_downsample
from histo_ray.slides.reader import open_slide
from histo_ray.slides.sound_levels import choose_levels, describe_uncertain, sizes_agree
from histo_ray.tiles.pixels import read_tiles
from histo_ray.types import Slide, SlideFacts
from testing.jpeg_slides import texture

Pixels = npt.NDArray[np.uint8]
TILE = (64, 64)
CM: dict[str, Any] = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}


def write_pyramid(path: Path, images: list[Pixels], **options: Any) -> Path:
    """Level 0, then images flagged as reduced; an item of `options` that is a list is by image."""
    settings = {"tile": TILE, "photometric": "rgb", "compression": "deflate", **options}
    with tifffile.TiffWriter(path) as tiff:
        for at, image in enumerate(images):
            chosen = {k: v[at] if isinstance(v, list) else v for k, v in settings.items()}
            more: dict[str, Any] = CM if at == 0 else {}
            tiff.write(image, subfiletype=int(at > 0), metadata=None, **more, **chosen)
    return path


def shrink(image: Pixels, factor: float) -> Pixels:
    size = (int(image.shape[1] / factor), int(image.shape[0] / factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def pad(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    rest = ((0, -height % TILE[0]), (0, -width % TILE[1]), (0, 0))
    return np.pad(image, rest, constant_values=255)


@pytest.mark.parametrize("size", [(675, 575), (700, 700), (1000, 560)])
@pytest.mark.parametrize("compression", ["deflate", "jpeg"])
def test_levels_padded_to_whole_tiles_are_left_out_and_tiles_are_in_place(
    tmp_path: Path, size: tuple[int, int], compression: str
) -> None:
    image = texture(*size)
    padded = [pad(image), *(pad(shrink(image, factor)) for factor in (2, 4, 8))]
    path = write_pyramid(tmp_path / "a.tif", padded, compression=compression)
    with open_slide(str(path)) as slide:
        for level in range(1, len(slide.level_sizes)):
            assert nominal_downsample(slide.pyramid, level) in ((2, 2), (4, 4), (8, 8))
        assert len(slide.level_sizes) + len(slide.levels_left_out) == 4
        assert slide.levels_left_out
        for batch in read_tiles(slide, mpp=1.0, tile_px=32, batch_size=10_000):
            for (x, y), tile in zip(batch.coords.tolist(), batch.pixels, strict=True):
                part = padded[0][y : y + 128, x : x + 128]
                wanted = cv2.resize(part, (32, 32), interpolation=cv2.INTER_AREA)
                assert np.abs(wanted.astype(int) - tile).mean() < 4


def test_a_sound_pyramid_keeps_all_levels_with_whole_factors(tmp_path: Path) -> None:
    image = texture(1013, 771)
    for factors in ((2, 4, 8), (4, 16), (3, 9), (8,)):
        images = [image, *(shrink(image, factor) for factor in factors)]
        with open_slide(str(write_pyramid(tmp_path / "a.tif", images))) as slide:
            assert slide.levels_left_out == ()
            found = [nominal_downsample(slide.pyramid, n)[0] for n in range(len(images))]
            assert found == [1, *factors]


def test_a_macro_or_label_among_the_reduced_images_is_no_level(tmp_path: Path) -> None:
    image = texture(1013, 771)
    half, quarter = shrink(image, 2), shrink(image, 4)
    macro, label = texture(640, 215, seed=1), texture(190, 230, seed=2)
    same_shape = texture(126, 96, seed=3)
    for extra, options, reason in (
        (macro, {}, "no usual factor explains its size"),
        (label, {}, "no usual factor explains its size"),
        (same_shape[..., 0], {"photometric": ["rgb", "rgb", "minisblack"]}, "stored otherwise"),
        (same_shape, {"compression": ["deflate", "deflate", "lzw"]}, "stored otherwise"),
    ):
        path = write_pyramid(tmp_path / "a.tif", [image, quarter, extra], **options)
        with open_slide(str(path)) as slide:
            assert slide.level_sizes == ((1013, 771), (253, 192))
            (sentence,) = slide.levels_left_out
            assert reason in sentence
            assert f"({extra.shape[1]} x {extra.shape[0]} px)" in sentence
    path = write_pyramid(tmp_path / "a.tif", [image, half, macro])
    with pytest.raises(
        SlideError, match=r"OpenSlide cannot open.*level 1 \(640 x 215 px\): no usu"
    ):
        open_slide(str(path))
    path = write_pyramid(tmp_path / "a.tif", [image, quarter, half])  # out of order
    with open_slide(str(path)) as slide:
        assert slide.level_sizes == ((1013, 771), (506, 385), (253, 192))
        np.testing.assert_array_equal(slide.read((0, 0), 2, (253, 192)), quarter)


def test_levels_are_numbered_anew_and_read_their_own_pixels(tmp_path: Path) -> None:
    image = texture(1013, 771)
    odd, quarter = shrink(image, 1.83), shrink(image, 4)
    for compression in ("deflate", "jpeg"):
        more: dict[str, Any] = {}
        if compression == "jpeg":
            more = {"compressionargs": {"level": 98}, "subsampling": (1, 1)}
        images = [image, odd, quarter]
        path = write_pyramid(tmp_path / "a.tif", images, compression=compression, **more)
        for reader in ("auto", "openslide"):
            with open_slide(str(path), reader=reader) as slide:
                assert slide.level_sizes == ((1013, 771), (253, 192))
                found = slide.read((0, 0), 1, (253, 192)).astype(int)
                assert np.abs(found - quarter).mean() < 6
                region = np.empty((50, 40, 3), np.uint8)
                slide.read_into(region, (400, 80), 1)
                assert np.abs(region.astype(int) - quarter[20:70, 100:140]).mean() < 6
                with pytest.raises(IndexError):
                    slide.read((0, 0), 2, (10, 10))


def test_levels_in_sub_ifds_are_told(tmp_path: Path) -> None:
    image = texture(400, 300)
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(image, subifds=1, tile=TILE, photometric="rgb", metadata={"axes": "YXS"})
        tiff.write(shrink(image, 2), subfiletype=1, tile=TILE, photometric="rgb")
    with open_slide(str(path), mpp=0.5) as slide:
        assert slide.level_sizes == ((400, 300),)
        assert slide.levels_left_out == ("1 level in sub-IFDs, which OpenSlide does not read",)


@pytest.mark.parametrize(
    ("full", "reduced", "certain"),
    [
        ((5632, 4608), (3072, 2560), False),
        ((5632, 5632), (3072, 3072), False),  # alike along both axes, and no whole number
        ((5632, 5632), (512, 512), False),  # 11 alike along both axes: true is 16
        ((3072, 3072), (1024, 1024), False),  # 3, or 4 padded
        ((1024, 1024), (512, 512), False),  # 2, or 4 padded
        ((65536, 65536), (32768, 32768), True),
        ((65536, 49152), (16384, 12288), True),
        ((5400, 4600), (2700, 2300), True),
        ((5401, 4603), (1350, 1151), True),
        ((5401, 4603), (1351, 1151), True),
        ((5400, 4600), (2160, 1840), False),  # 2.5
        ((5500, 4400), (500, 400), False),  # 11
        ((5400, 4600), (1800, 1533), True),
    ],
)
def test_a_factor_is_certain_only_where_nothing_else_explains_the_size(
    full: tuple[int, int], reduced: tuple[int, int], certain: bool
) -> None:
    assert (describe_uncertain(full, reduced, (512, 512)) == "") == certain


@given(
    width=st.integers(3000, 200_000),
    height=st.integers(3000, 200_000),
    factor=st.sampled_from([2, 4, 8, 16, 32]),
    up=st.booleans(),
)
def test_rounding_of_sizes_never_costs_a_level(
    width: int, height: int, factor: int, up: bool
) -> None:
    reduced = tuple(-(-edge // factor) if up else edge // factor for edge in (width, height))
    kept, left_out = choose_levels([(width, height), (reduced[0], reduced[1])])
    assert (kept, left_out) == ((0, 1), ())
    assert describe_uncertain((width, height), (reduced[0], reduced[1]), (0, 0)) == ""


@given(
    width=st.integers(5000, 200_000),
    height=st.integers(5000, 200_000),
    tile=st.sampled_from([256, 512, 1024]),
    level=st.integers(1, 5),
    whole=st.booleans(),
)
def test_a_padded_level_is_kept_only_with_its_true_factor(
    width: int, height: int, tile: int, level: int, whole: bool
) -> None:
    def padded(edge: int) -> int:
        return -(-edge // tile) * tile

    factor = 2**level
    full = (padded(width), padded(height)) if whole else (width, height)
    reduced = padded(width // factor), padded(height // factor)
    if not describe_uncertain(full, reduced, (tile, tile)):
        assert round(full[0] / reduced[0]) == round(full[1] / reduced[1]) == factor


def test_levels_that_disagree_or_do_not_shrink_are_left_out_of_any_format() -> None:
    kept, left_out = choose_levels(
        [(4000, 3000), (2000, 1500), (2100, 1500), (1000, 700), (500, 375), (0, 0)]
    )
    assert kept == (0, 1, 4)
    assert len(left_out) == 3
    assert "4 times smaller along x and 4.286 along y" in left_out[1]
    assert sizes_agree((1000, 900), (100, 90))
    assert not sizes_agree((1000, 900), (90, 100))


def test_the_receipt_says_which_levels_were_not_used_and_old_receipts_say_nothing(
    tmp_path: Path,
) -> None:
    image = texture(1013, 771)
    path = write_pyramid(tmp_path / "a.tif", [image, shrink(image, 1.83)])
    with open_slide(str(path)) as opened:
        plan = plan_slide(opened, Slide("S1", str(path), "P1"), TilingConfig(tissue="none"))
    facts = plan.slide
    assert facts.levels_left_out == opened.levels_left_out != ()
    old = facts.model_dump(exclude={"levels_left_out"})
    assert SlideFacts.model_validate(old).levels_left_out == ()
