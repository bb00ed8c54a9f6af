import hashlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from histo_ray.config import TilingConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.tiles import mask_image
from histo_ray.tiles.mask_image import MaskError, decode_mask_image
from histo_ray.tiles.masks import read_mask
from histo_ray.tiles.segmenters import check_tissue

SIZE = (1200, 700)


def test_non_zero_is_tissue_in_any_kind_of_image(tmp_path: Path) -> None:
    wanted = np.zeros((70, 120), bool)
    wanted[5:, 100:] = True
    grey = wanted.astype(np.uint8)
    colour = np.zeros((70, 120, 3), np.uint8)
    colour[..., 2] = grey * 9
    alpha = np.concatenate([np.full_like(colour, 7), grey[..., None] * 255], axis=2)
    images: dict[str, Any] = {
        "grey.png": grey,
        "deep.png": grey.astype(np.uint16) * 256,
        "colour.png": colour,
        "alpha.png": alpha,
        "grey.tif": grey,
    }
    for name, image in images.items():
        path = tmp_path / name
        assert cv2.imwrite(str(path), image)
        mask, digest = read_mask(str(path), SIZE)
        np.testing.assert_array_equal(mask.pixels, wanted, err_msg=name)
        assert mask.downsample == (10.0, 10.0)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_mask_of_another_shape_than_the_slide_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "m.png")
    cv2.imwrite(path, np.ones((120, 70), np.uint8))
    with pytest.raises(
        SlideError, match=r"70 x 120 px, which is not the shape of the slide \(1200 x 7"
    ):
        read_mask(path, SIZE, "S1")
    cv2.imwrite(path, np.ones((71, 120), np.uint8))
    mask, _ = read_mask(path, SIZE)  # 1.4 % off: rounding
    assert mask.downsample == pytest.approx((10, 700 / 71))


def test_geojson_is_drawn_at_a_bounded_resolution(tmp_path: Path) -> None:
    ring = [[0, 0], [60_000, 0], [60_000, 45_000], [0, 45_000]]
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}), encoding="utf-8")
    mask, _ = read_mask(str(path), (120_000, 90_000))
    assert max(mask.pixels.shape) == 4096
    assert mask.pixels.mean() == pytest.approx(0.25, abs=0.001)
    assert mask.pixels[0, 0]
    assert not mask.pixels[-1, -1]
    assert read_mask(str(path), (1200, 700))[0].downsample == (1, 1)


@pytest.mark.parametrize("name", ["m.png", "m.geojson"])
def test_unreadable_masks_are_one_slides_fate(tmp_path: Path, name: str) -> None:
    with pytest.raises(SlideError, match=r"cannot be read.*check the pattern"):
        read_mask(str(tmp_path / name), SIZE, "S1")
    for content in (b"", b"garbage"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SlideError, match=r"slide 'S1': mask .*; export it again"):
            read_mask(str(tmp_path / name), SIZE, "S1")


TRUE_PART = np.zeros((70, 120), bool)
TRUE_PART[5:40, 60:] = True
COLOURS = np.zeros((3, 256), np.uint16)
COLOURS[:, 0] = 65_535  # index 0 is white, index 3 black: the colour must not count
COLOURS[:, 3] = 0


def as_rgb(values: Any) -> Any:
    return np.stack([np.zeros_like(values), values, np.zeros_like(values)], -1)


MEANT: dict[str, tuple[Any, dict[str, Any]]] = {
    "bool": (TRUE_PART, {}),
    "bits, black is 0": (TRUE_PART, {"photometric": "minisblack"}),
    "8 bits": (TRUE_PART.astype(np.uint8) * 3, {"photometric": "minisblack"}),
    "8 bits, white is 0": (TRUE_PART.astype(np.uint8) * 255, {"photometric": "miniswhite"}),
    "16 bits": (TRUE_PART.astype(np.uint16) * 256, {"photometric": "minisblack"}),
    "32 bits, signed": (TRUE_PART.astype(np.int32) * -1, {"photometric": "minisblack"}),
    "float": (TRUE_PART.astype(np.float32), {"photometric": "minisblack"}),
    "float with nan": (np.where(TRUE_PART, 1.0, np.nan).astype(np.float32), {}),
    "palette": (
        TRUE_PART.astype(np.uint8) * 3,
        {"photometric": "palette", "colormap": COLOURS},
    ),
    "rgb": (as_rgb(TRUE_PART.astype(np.uint8) * 9), {"photometric": "rgb"}),
    "rgb, planes": (
        np.moveaxis(as_rgb(TRUE_PART.astype(np.uint8)), -1, 0),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "rgb, 16 bits": (as_rgb(TRUE_PART.astype(np.uint16)), {"photometric": "rgb"}),
    "rgba": (
        np.dstack([np.full((70, 120, 3), 7, np.uint8), TRUE_PART.astype(np.uint8) * 255]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
}


@pytest.mark.parametrize("layout", [{}, {"tile": (16, 32)}, {"rowsperstrip": 7}])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("name", MEANT)
def test_a_tiff_mask_marks_what_was_written(
    tmp_path: Path, name: str, compression: str | None, layout: dict[str, Any]
) -> None:
    values, options = MEANT[name]
    path = tmp_path / "m.tif"
    try:
        tifffile.imwrite(path, values, compression=compression, **options, **layout)
    except ValueError:
        pytest.skip("tifffile does not write it")
    mask, _ = read_mask(str(path), SIZE)
    np.testing.assert_array_equal(mask.pixels, TRUE_PART)


def test_pillow_masks_of_every_mode_mark_what_is_not_0(tmp_path: Path) -> None:
    grey = Image.fromarray(TRUE_PART.astype(np.uint8) * 3)
    indexed = Image.fromarray(TRUE_PART.astype(np.uint8) * 3, mode="P")
    indexed.putpalette([255, 255, 255, 9, 9, 9, 9, 9, 9, 0, 0, 0])
    images = {
        "1": Image.fromarray(TRUE_PART),
        "L": grey,
        "P": indexed,
        "I;16": Image.fromarray(TRUE_PART.astype(np.uint16) * 256),
        "LA": Image.merge("LA", [grey, Image.new("L", grey.size, 255)]),
        "RGB": Image.fromarray(as_rgb(TRUE_PART.astype(np.uint8))),
        "RGBA": Image.merge("RGBA", [*[Image.new("L", grey.size, 0)] * 2, grey, grey]),
    }
    for suffix in ("png", "tif"):
        for mode, image in images.items():
            path = tmp_path / f"m.{suffix}"
            image.save(path)
            mask, _ = read_mask(str(path), SIZE)
            np.testing.assert_array_equal(mask.pixels, TRUE_PART, err_msg=f"{mode} {suffix}")


def test_values_that_could_mean_two_things_are_refused(tmp_path: Path) -> None:
    grey = TRUE_PART.astype(np.uint8)
    ambiguous: dict[str, tuple[Any, dict[str, Any]]] = {
        "have fractions": (grey * np.float32(0.4), {"photometric": "minisblack"}),
        "compressed by JPEG": (grey * 255, {"photometric": "minisblack", "compression": "jpeg"}),
        "MINISWHITE": (TRUE_PART, {"software": "other"}),
        "several images of 120 x 70": (np.stack([grey, grey]), {"photometric": "minisblack"}),
        "5 samples a pixel": (np.dstack([grey] * 5), {"photometric": "minisblack"}),
        "kind SEPARATED": (np.dstack([grey] * 4), {"photometric": "separated"}),
        "Orientation tag is 6": (grey, {"extratags": [(274, "H", 1, 6, True)]}),
    }
    for words, (values, options) in ambiguous.items():
        path = tmp_path / "m.tif"
        more: dict[str, Any] = {"planarconfig": "contig"} if values.shape[-1] < 6 else {}
        tifffile.imwrite(path, values, **options, **more)
        with pytest.raises(SlideError, match=rf"slide 'S1': mask .*m\.tif: .*{words}"):
            read_mask(str(path), SIZE, "S1")
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(grey).save(tmp_path / "m.png", exif=exif)
    with pytest.raises(SlideError, match="Orientation tag is 3"):
        read_mask(str(tmp_path / "m.png"), SIZE, "S1")


@pytest.mark.parametrize("shape", [(120, 70), (70, 116), (67, 120), (64, 128), (90, 120)])
def test_a_mask_of_another_orientation_or_ratio_is_refused_with_both_sizes(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = str(tmp_path / "m.png")
    cv2.imwrite(path, np.ones(shape, np.uint8))
    said = rf"has {shape[1]} x {shape[0]} px, .* of the slide \(1200 x 700 px\)"
    with pytest.raises(SlideError, match=said):
        read_mask(path, SIZE, "S1")


def test_the_rounding_of_a_masks_size_is_accepted(tmp_path: Path) -> None:
    path = str(tmp_path / "m.png")
    for size in ((1201, 703), (999, 1403), (9200, 6583)):
        for factor in (7, 16, 32.5):
            for up in (0, 1):
                shape = (int(size[1] / factor) + up, int(size[0] / factor) + up)
                cv2.imwrite(path, np.ones(shape, np.uint8))
                assert read_mask(path, size)[0].pixels.all()


def test_classes_are_chosen_by_value_or_by_name(tmp_path: Path) -> None:
    values = np.zeros((70, 120), np.uint8)
    values[:10], values[10:30], values[30:40] = 1, 2, 3
    cv2.imwrite(str(tmp_path / "m.png"), values)
    mask, _ = read_mask(str(tmp_path / "m.png"), SIZE, classes=("1", "3"))
    np.testing.assert_array_equal(mask.pixels, np.isin(values, [1, 3]))
    with pytest.raises(SlideError, match="'Tumor' is none; give numbers as --mask-classes"):
        read_mask(str(tmp_path / "m.png"), SIZE, classes=("Tumor",))
    cv2.imwrite(str(tmp_path / "c.png"), np.dstack([values, values * 0, values]))
    with pytest.raises(SlideError, match="colours, which no class numbers select"):
        read_mask(str(tmp_path / "c.png"), SIZE, classes=("1",))
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [square]},
            "properties": {"classification": {"name": name}},
        }
        for name, square in {
            "Tumor": [[0, 0], [600, 0], [600, 700], [0, 700]],
            "Stroma": [[600, 0], [1200, 0], [1200, 700], [600, 700]],
        }.items()
    ]
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps(features), encoding="utf-8")
    assert read_mask(str(path), SIZE)[0].pixels.all()
    mask, _ = read_mask(str(path), SIZE, classes=("tumor",))
    assert mask.pixels[:, :600].all()
    assert not mask.pixels[:, 600:].any()


def outline(classification: Any, kind: str = "Polygon") -> dict[str, Any]:
    ring = [[0, 0], [600, 0], [600, 300], [0, 300]]
    shape = {"type": kind, "coordinates": [ring] if kind == "Polygon" else ring[0]}
    properties = {} if classification is None else {"classification": classification}
    return {"type": "Feature", "geometry": shape, "properties": properties}


@pytest.mark.parametrize(
    ("features", "asked", "told"),
    [
        (
            [outline({"name": "Tumor"}), outline("Stroma")],
            ["Tumour"],
            "of class Tumour .*its classes: Tumor, Stroma; did you mean Tumor",
        ),
        ([outline({"names": ["Tumor", "Positive"]})], ["positve"], "did you mean Positive"),
        ([outline("Stroma")], ["Necrosis", "Fat"], "Necrosis or Fat .*: Stroma; name one of them"),
        ([outline(None)], ["Tumor"], "its classes: none; name"),
    ],
)
def test_a_class_that_no_shape_of_a_file_has_is_told_with_those_that_are_there(
    features: list[Any], asked: list[str], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.geojson"
    for text in ({"type": "FeatureCollection", "features": features}, features):
        path.write_text(json.dumps(text))
        with pytest.raises(SlideError, match=told):
            read_mask(str(path), SIZE, "S1", asked)


@pytest.mark.parametrize("features", [[], [outline("tumor", "Point"), outline("Stroma")]])
def test_a_file_without_an_outline_of_the_class_is_a_slide_without_tissue(
    features: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert not read_mask(str(path), SIZE, "S1", ["Tumor"])[0].pixels.any()


def test_a_value_that_no_pixel_of_an_image_has_is_told_with_those_that_are_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.png"
    image = np.zeros((70, 120), np.uint8)
    cv2.imwrite(str(path), image)
    assert not read_mask(str(path), SIZE, "S1", ["1"])[0].pixels.any()  # nothing is marked
    image[3:9, 80:] = 255
    cv2.imwrite(str(path), image)
    with pytest.raises(SlideError, match=r"is 1 or 2 \(--mask-classes\); its values: 0, 255; name"):
        read_mask(str(path), SIZE, "S1", ["1", "2"])


def test_chosen_classes_are_part_of_the_tiling_and_older_tilings_keep_their_names() -> None:
    plain = TilingConfig(tissue="masks/{slide_id}.png")
    assert TilingConfig(tissue="masks/{slide_id}.png", mask_classes=()).fingerprint() == (
        plain.fingerprint()
    )
    chosen = TilingConfig(tissue="masks/{slide_id}.png", mask_classes=("Tumor", "2"))
    again = TilingConfig(tissue="other/{slide_id}.png", mask_classes=("2", "tumor "))
    assert chosen.fingerprint() == again.fingerprint() != plain.fingerprint()
    with pytest.raises(ConfigError, match="--tissue otsu uses none"):
        check_tissue("otsu", ("Tumor",))
    check_tissue("masks/{slide_id}.png", ("Tumor",))


def test_a_mask_that_is_too_large_to_be_decoded_at_once_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mask_image, "MOST_PX", 30 * 20 - 1)
    for kind in ("PNG", "TIFF"):
        data = io.BytesIO()
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(data, kind)
        with pytest.raises(MaskError, match="30 x 20 px, more than the 599 px"):
            decode_mask_image(data.getvalue())
