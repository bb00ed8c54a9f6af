import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from histo_ray.errors import SlideError
from histo_ray.tiles.masks import read_mask

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
    with pytest.raises(SlideError, match=r"70 x 120 px, which is not the shape of the slide \(1200 x 7"):
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
