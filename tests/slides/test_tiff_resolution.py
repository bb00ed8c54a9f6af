"""OME-XML and ImageJ state a resolution; it is read with its unit, and its source is recorded."""

from pathlib import Path
from typing import Any

import pytest
import tifffile

from histo_ray.errors import SlideError
from histo_ray.slides.reader import open_slide
from histo_ray.slides.tiff_resolution import microns_per
from tests.slides.tiff_cases import RGB


def write_ome(path: Path, x: float, y: float, unit: str | None, **more: Any) -> Path:
    about: dict[str, Any] = {"axes": "YXS", "PhysicalSizeX": x, "PhysicalSizeY": y}
    if unit is not None:
        about |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(path, RGB, photometric="rgb", metadata=about, **more)
    return path


@pytest.mark.parametrize("tile", [None, (64, 96)])
@pytest.mark.parametrize(
    ("x", "unit"),
    [
        (0.25, "µm"),
        (0.25, "μm"),
        (0.25, None),
        (250.0, "nm"),
        (0.00025, "mm"),
        (2500.0, "Å"),
        (0.25 / 25_400, "in"),
    ],
)
def test_ome_xml_is_read_in_any_unit_of_length(
    tmp_path: Path, tile: tuple[int, int] | None, x: float, unit: str | None
) -> None:
    path = write_ome(tmp_path / "a.ome.tif", x, 2 * x, unit, tile=tile)
    with open_slide(str(path), fallback_mpp=9) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.5), rel=1e-6)
        assert slide.mpp_source == "ome-xml"


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "parsec"])
def test_what_is_no_length_is_not_taken_for_one(tmp_path: Path, unit: str) -> None:
    path = write_ome(tmp_path / "a.ome.tif", 0.25, 0.25, unit)
    with pytest.raises(SlideError, match="the file states no resolution"):
        open_slide(str(path))
    with open_slide(str(path), fallback_mpp=0.3) as slide:
        assert slide.mpp_source == "flag"


def test_an_implausible_size_is_named_and_refused(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", 352.8, 352.8, "µm")
    with pytest.raises(SlideError, match=r"no usable resolution \(ome-xml says 352\.8"):
        open_slide(str(path))


@pytest.mark.parametrize(
    ("unit", "density"),
    [
        ("um", 4.0),
        ("micron", 4.0),
        ("microns", 4.0),
        ("\\u00B5m", 4.0),
        ("mm", 4000.0),
        ("cm", 40_000.0),
        ("inch", 101_600.0),
        ("nm", 0.004),
    ],
)
def test_imagej_is_read_in_its_own_unit(tmp_path: Path, unit: str, density: float) -> None:
    path = tmp_path / "a.tif"
    about = {"unit": unit}
    tifffile.imwrite(path, RGB, imagej=True, resolution=(density, density / 2), metadata=about)
    with open_slide(str(path)) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.5), rel=1e-4)
        assert slide.mpp_source == "imagej"


def test_imagej_without_a_length_states_none(tmp_path: Path) -> None:
    empty: dict[str, Any] = {}
    for about in ({"unit": "pixel"}, empty):
        tifffile.imwrite(tmp_path / "a.tif", RGB, imagej=True, resolution=(4, 4), metadata=about)
        with pytest.raises(SlideError, match="states no resolution"):
            open_slide(str(tmp_path / "a.tif"))


def test_texts_and_tags_that_disagree_are_refused_unless_the_manifest_decides(
    tmp_path: Path,
) -> None:
    tags: dict[str, Any] = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    for tile in (None, (64, 96)):
        path = write_ome(tmp_path / "a.ome.tif", 0.25, 0.25, "µm", tile=tile, **tags)
        with pytest.raises(SlideError, match=r"two resolutions: ome-xml 0\.25 .* tiff-tags 0\.5"):
            open_slide(str(path))
        with open_slide(str(path), mpp=0.25) as slide:
            assert slide.mpp_source == "manifest"
        path = write_ome(tmp_path / "a.ome.tif", 0.501, 0.501, "µm", tile=tile, **tags)
        with open_slide(str(path)) as slide:
            assert (slide.mpp, slide.mpp_source) == ((0.501, 0.501), "ome-xml")


def test_a_text_about_another_image_or_no_xml_states_nothing(tmp_path: Path) -> None:
    for text in (
        '<?xml version="1.0"?><OME><Image><Pixels SizeX="9" SizeY="9" PhysicalSizeX="0.2"/></Image>'
        "</OME>",
        '<?xml version="1.0"?><OME><Image>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "b">]><OME>&a;</OME>',
    ):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, RGB, photometric="rgb", metadata=None, description=text)
        with pytest.raises(SlideError, match="states no resolution"):
            open_slide(str(path))


def test_units_are_known_by_their_spellings() -> None:
    assert microns_per("µm") == microns_per("μm") == microns_per("UM") == microns_per(" um") == 1
    assert microns_per("\\u00b5m") == 1
    assert microns_per("mm") == 1000
    for unknown in ("pixel", "", None, "pixels", 3):
        assert microns_per(unknown) is None
